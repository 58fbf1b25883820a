"""What each method says of itself: sizes, counts, properties of its parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from baimu.semantic_segmentation.deeplabv3 import ASPP, rates
from baimu.semantic_segmentation.deeplabv3plus import SeparableConv
from baimu.semantic_segmentation.fcn import Upsample, bilinear_kernel
from baimu.semantic_segmentation.pspnet import PyramidPooling
from baimu.semantic_segmentation.segmenter import Segmenter, windows
from baimu.semantic_segmentation.unet import border_weights, input_side, mirrored
from baimu.zoo import create_model

MMSEG = {"like": "mmsegmentation"}
PARAMETERS = {  # in all, with 19 classes unless it says so
    "fcn_r50": ({}, 49_494_000),
    "pspnet_r50": (MMSEG, 48_975_000),
    "deeplabv3_r50": (MMSEG, 68_113_000),
    "deeplabv3plus_r50": (MMSEG, 43_590_000),
    "unet_s5_d16": ({}, 29_063_000),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts(name: str) -> None:
    arguments, expected = PARAMETERS[name]
    assert count(name, num_classes=19, **arguments) == pytest.approx(expected, rel=1.5e-4)


def test_parameter_counts_of_the_papers_unet_and_torchvision() -> None:
    """31,030,658 is of one grey channel; three add 2 * 9 * 64."""
    assert count("unet", num_classes=2) == 31_030_658 + 2 * 9 * 64
    assert count("fcn_r50", num_classes=21, like="torchvision") == 35_322_218
    assert count("fcn_r101", num_classes=21, like="torchvision") == 54_314_346
    assert count("deeplabv3_r50", num_classes=21, like="torchvision") == 42_004_074
    assert count("deeplabv3_r101", num_classes=21, like="torchvision") == 60_996_202


def count(name: str, **arguments: object) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in create_model(name, **arguments).parameters())


def test_a_bilinear_kernel_continues_a_ramp() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    fine = Upsample(1, 4)(ramp)[0, 0, 16, 4:-4]
    torch.testing.assert_close(fine[4:-4].diff(), torch.full((len(fine) - 9,), 0.25))
    assert bilinear_kernel(4)[0].tolist() == [0.0625, 0.1875, 0.1875, 0.0625]


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_the_papers_fcn_has_logits_of_every_pixel_and_a_skip_adds_scores(stride: int) -> None:
    model = create_model(f"fcn{stride}s_vgg16", num_classes=3, hidden=8)
    assert isinstance(model, Segmenter)
    for height, width in ((32, 32), (45, 70)):
        assert model(torch.zeros(1, 3, height, width)).shape == (1, 3, height, width)
    fixed = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert fixed == ["head.interpolate.weight"]


def test_pyramid_pooling_of_a_constant_map_is_constant() -> None:
    pool = PyramidPooling(4, 2).eval()
    out = pool(torch.ones(1, 4, 7, 9))
    assert out.shape == (1, 12, 7, 9)
    assert out.flatten(2).std(2).max() < 1e-6


def test_a_dilation_beyond_the_map_leaves_the_centre_tap() -> None:
    aspp = ASPP(4, 3, (24,), norm=lambda channels: nn.Identity())
    x = torch.randn(1, 4, 8, 8)
    wide = aspp.branches[1].conv
    assert isinstance(wide, nn.Conv2d)
    centre = nn.functional.conv2d(x, wide.weight[:, :, 1:2, 1:2])
    torch.testing.assert_close(wide(x), centre)
    assert rates(16) == (6, 12, 18)
    assert rates(8) == (12, 24, 36)


def test_a_separable_convolution_is_a_dense_one_of_rank_one() -> None:
    part = SeparableConv(3, 5, dilation=2, norm=lambda channels: nn.Identity())
    part.depthwise.relu = part.pointwise.relu = False
    x = torch.randn(2, 3, 9, 11)
    dense = part.pointwise.conv.weight * part.depthwise.conv.weight[:, 0][None]  # (5, 3, 3, 3)
    expected = nn.functional.conv2d(x, dense, padding=2, dilation=2)
    torch.testing.assert_close(part(x), expected, rtol=1e-4, atol=1e-5)


def test_deeplab_keeps_its_weights_at_another_output_stride() -> None:
    coarse = create_model("deeplabv3_r18", num_classes=3).eval()
    fine = create_model("deeplabv3_r18", num_classes=3, output_stride=8).eval()
    fine.load_state_dict(coarse.state_dict())
    x = torch.randn(1, 3, 64, 64)
    assert coarse(x).shape[2:] == (4, 4)
    assert fine(x).shape[2:] == (8, 8)


def test_unet_mirrors_its_border_and_meets_every_pooling() -> None:
    assert input_side(388) == 572
    for side in (1, 7, 64, 388, 389):
        wide = input_side(side)
        for _ in range(4):
            assert (wide - 4) % 2 == 0
            wide = (wide - 4) // 2
        assert 16 * (wide - 4) - 60 >= side  # what comes out
    picture = list("abcd")
    shown = [picture[i] for i in mirrored(4, 10, torch.device("cpu")).tolist()]
    assert "".join(shown) == "dcbabcdcba"
    assert mirrored(1, 3, torch.device("cpu")).tolist() == [0, 0, 0]


def test_a_pixel_of_unet_sees_what_the_paper_says() -> None:
    """Logits of one pixel do not change when the image grows beyond the 184 pixels that its border takes."""
    model = create_model("unet", num_classes=2, widths=(4, 4, 4, 4, 4)).eval()
    x = torch.randn(1, 3, 388, 388, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, part = model(x), model(x[:, :, :, :372])  # 16 columns less keep the poolings in step
    difference = (whole[..., :372] - part).abs().amax((0, 1, 2))
    assert difference[: 372 - 100].max() < 1e-5
    assert difference.max() > 1e-4


def test_border_weights_are_the_papers_formula() -> None:
    labels = np.zeros((12, 16), np.uint8)
    labels[3:9, 2:6], labels[3:9, 9:13] = 1, 1
    found = border_weights(labels, 10.0, 5.0)
    for y in range(12):
        for x in range(16):
            if labels[y, x]:
                assert found[y, x] == 0
                continue
            d = sorted(
                min(np.hypot(y - a, x - b) for a in range(3, 9) for b in range(left, left + 4)) for left in (2, 9)
            )
            assert found[y, x] == pytest.approx(10 * np.exp(-((d[0] + d[1]) ** 2) / 50), rel=1e-5)
    assert border_weights(labels * 0).max() == 0


def test_windows_cover_the_image_and_overlap_is_averaged() -> None:
    """A network that gives each pixel its own value: the mean over windows is that value, wherever they lie."""

    class Values(nn.Module):
        channels, strides = (3,), (1,)

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [x]

    class First(nn.Module):
        def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
            return maps[0][:, :2]

    x = torch.randn(1, 3, 50, 41)
    for window, stride in ((16, None), ((20, 30), (7, 30)), (64, 10), (50, 50)):
        model = Segmenter(Values(), First(), num_classes=2, window=window, window_stride=stride)
        torch.testing.assert_close(model.segment(x), x[:, :2])
    seen = [(r.start, c.start) for r, c in windows((97, 129), (65, 65), (43, 43))]
    assert seen == [(0, 0), (0, 43), (0, 64), (32, 0), (32, 43), (32, 64)]
