"""EfficientNet: compound scaling, dropped paths, and TensorFlow's padding where it can be seen."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from baimu.backbones import efficientnet
from baimu.backbones.depthwise import InvertedResidual
from baimu.backbones.efficientnet import SCALES, EfficientNet, recipe
from baimu.layers.drop_path import DropPath
from baimu.layers.fold import fold_norms
from baimu.layers.norm import batch_norm, with_numbers
from baimu.zoo import create_model
from tests.backbones.test_families import close
from tests.layers.test_norm import noise
from tests.parity.peers.filled import fill


def blocks(net: nn.Module) -> list[InvertedResidual]:
    return [m for m in net.modules() if isinstance(m, InvertedResidual)]


@pytest.mark.parametrize(
    ("scale", "channels", "repeats"),
    [
        (0, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
        (1, (16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2)),
        (4, (24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2)),
        (7, (32, 48, 80, 160, 224, 384, 640), (4, 7, 7, 10, 10, 13, 4)),
    ],
)
def test_width_and_depth_are_the_published_networks(
    scale: int, channels: tuple[int, ...], repeats: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        net = EfficientNet(scale)
    found = [[block.project.conv.out_channels for block in blocks(row)] for row in net.blocks]
    assert tuple(map(len, found)) == repeats
    assert [set(row) for row in found] == [{count} for count in channels]


def test_factors_follow_the_compound_rule() -> None:
    """Eq. 3 for phi = 0…6 (B0 and B1 share a width): rounded by the authors, and within a tenth of the powers."""
    for scale, phi in ((1, 0.5), (2, 1), (3, 2), (4, 3.5), (5, 5), (6, 6), (7, 7)):
        width, depth, size, _ = SCALES[scale]
        assert width == pytest.approx(1.1**phi, rel=0.1)
        assert depth == pytest.approx(1.2**phi, rel=0.15)
        assert size / 224 == pytest.approx(1.15**phi, rel=0.05)


def test_se_keeps_a_quarter_of_the_blocks_input() -> None:
    for block in blocks(EfficientNet(0))[1:]:
        assert block.expand is not None
        assert block.squeeze is not None
        assert block.squeeze.reduce.out_channels * 4 == block.expand.conv.in_channels
        assert isinstance(block.squeeze.act, nn.SiLU)
        assert isinstance(block.squeeze.gate, nn.Sigmoid)


def test_paths_are_dropped_by_a_fifth_times_the_share_of_the_depth() -> None:
    net = EfficientNet(0)
    rates = [block.drop_path.rate if block.drop_path else None for block in blocks(net)]
    assert rates == [None if rate is None else pytest.approx(0.2 * i / 16) for i, rate in enumerate(rates)]
    assert [rate is not None for rate in rates] == [i > 0 for n in (1, 2, 2, 3, 3, 4, 1) for i in range(n)]


def test_a_dropped_path_leaves_the_shortcut_alone() -> None:
    torch.manual_seed(0)
    block = blocks(EfficientNet(0))[2].train()
    block.drop_path = DropPath(0.5)
    x = noise(64, 24, 3, 3)
    change = (block(x) - x).flatten(1).abs().sum(1)
    assert 16 < int((change == 0).sum()) < 48
    assert block.expand is not None
    assert block.squeeze is not None
    assert torch.equal(block.eval()(x), block.project(block.squeeze(block.depthwise(block.expand(x)))) + x)


@torch.no_grad()
def test_tensorflows_padding_matters_on_even_sizes_and_not_on_odd_ones() -> None:
    plain = fill(EfficientNet(0, norm=with_numbers(batch_norm, eps=1e-3)))
    tensorflow = EfficientNet(0, like="tensorflow").eval()
    tensorflow.load_state_dict(plain.state_dict())
    odd = noise(1, 3, 65, 97)  # and every map below it: 33, 17, 9, 5 and 49, 25, 13, 7
    for found, expected in zip(tensorflow(odd), plain(odd), strict=True):
        close(found, expected, "odd")
    even = noise(1, 3, 64, 96)
    for found, expected in zip(tensorflow(even), plain(even), strict=True):
        assert found.shape == expected.shape
        assert float((found - expected).abs().max()) > 1e-3 * float(expected.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("name", ["efficientnet_b0", "tf_efficientnet_b0"])
def test_an_inference_copy_computes_the_same(name: str) -> None:
    model = fill(create_model(name, num_classes=5))
    folded = fold_norms(model)
    for images in (noise(2, 3, 64, 96), noise(1, 3, 65, 71)):
        close(folded(images), model(images), "logits")
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Conv2d) for m in folded.modules())


def test_norms_have_the_numbers_of_their_source() -> None:
    def numbers(scale: int, **options: str) -> set[tuple[float, float | None]]:
        with torch.device("meta"):
            net = EfficientNet(scale, **options)  # pyright: ignore[reportArgumentType]
        return {(m.eps, m.momentum) for m in net.modules() if isinstance(m, nn.BatchNorm2d)}

    assert numbers(0) == numbers(0, like="timm") == numbers(5, like="timm") == {(1e-5, 0.1)}
    assert numbers(5) == numbers(0, like="tensorflow") == {(1e-3, 0.01)}


def test_each_has_its_own_resolution_and_dropout() -> None:
    for scale, (_, _, size, dropout) in enumerate(SCALES):
        assert recipe(scale).size == size
        assert math.isclose(size / recipe(scale).crop_share, size + 32)
        with torch.device("meta"):
            assert getattr(efficientnet, f"tf_efficientnet_b{scale}")().dropout == dropout
