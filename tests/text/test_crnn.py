"""CRNN: lines of unequal width in one batch, what is refused, and the size of the paper's network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baimu.targets import TextTargets
from baimu.text.crnn import ALPHANUMERIC, CRNN, crnn, crnn_resnet
from baimu.text.line_features import LineBlock, ResNetFeatures, VGGFeatures, columns_of
from baimu.zoo import create_model

WIDTHS = (61, 24, 42, 3)


def lines(widths: tuple[int, ...] = WIDTHS, padded: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(len(widths), 1, 32, padded)
    for image, width in zip(images, widths, strict=True):
        image[..., :width] = torch.randn(1, 32, width, generator=generator)
    return images, torch.tensor([[32, width] for width in widths])


def lively(model: CRNN) -> CRNN:
    """Norms that move what they see, so that padding that is not zero again would show."""
    torch.manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.bias, std=0.3)
            nn.init.normal_(layer.running_mean, std=0.3)
    for layer in model.features.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.3)
    return model.eval()


@pytest.mark.parametrize("make", [crnn, crnn_resnet])
def test_a_line_is_read_alike_alone_and_among_wider_ones(make) -> None:
    torch.manual_seed(0)
    model = lively(make(5, hidden=16))
    images, sizes = lines()
    with torch.no_grad():
        together = model(images, sizes)
        for i, width in enumerate(WIDTHS):
            steps = width // 4 + 1
            padded = -(-width // 4) * 4
            alone = model(images[i : i + 1, :, :, :padded], sizes[i : i + 1])
            assert alone.shape[1] >= steps
            torch.testing.assert_close(together[i, :steps], alone[0, :steps], rtol=1e-4, atol=1e-5)


def test_a_line_without_padding_is_read_as_one_of_its_width() -> None:
    torch.manual_seed(0)
    model = lively(crnn(5, hidden=16))
    images, sizes = lines((52,), padded=52)
    with torch.no_grad():
        torch.testing.assert_close(model(images), model(images, sizes), rtol=1e-4, atol=1e-5)


def test_columns() -> None:
    assert columns_of(torch.tensor([3, 4, 100, 101])).tolist() == [1, 2, 26, 26]
    model = crnn(5, hidden=16).eval()
    assert model(torch.zeros(1, 1, 32, 100)).shape == (1, 26, 6)
    assert model.steps(torch.zeros(2, 26, 6)).tolist() == [26, 26]
    assert model.columns_of(torch.tensor([8])).tolist() == [3]


def test_parameter_counts() -> None:
    with torch.device("meta"):
        counts = {name: create_model(name).parameters() for name in ("crnn", "crnn_resnet")}
        features = VGGFeatures(), ResNetFeatures()
    assert sum(p.numel() for p in counts["crnn"]) == 8_331_301  # as counted in the authors' code
    assert sum(p.numel() for p in features[1].parameters()) == 44_263_904
    assert sum(p.numel() for p in counts["crnn_resnet"]) == 44_263_904 + 2_892_288 + 37 * 257


def test_a_line_too_narrow_for_its_text_counts_as_nothing() -> None:
    torch.manual_seed(0)
    model = crnn(5, hidden=16).eval()
    images, _ = lines((40, 8))
    targets = TextTargets.collate([[0, 1], [2, 2, 2, 2]], [(32, 40), (32, 8)])
    one = TextTargets.collate([[0, 1]], [(32, 40)])
    both, first = model.losses(images, targets)["ctc"], model.losses(images[:1], one)["ctc"]
    assert both.item() == pytest.approx(first.item() / 2, rel=1e-4)
    both.backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_names_of_characters() -> None:
    assert crnn().classes == ALPHANUMERIC
    assert crnn(3, hidden=8).classes == ("class 0", "class 1", "class 2")
    with pytest.raises(ValueError, match="at least 1"):
        crnn(0)


def test_residual_blocks_keep_widths() -> None:
    block = LineBlock(4, 6, nn.BatchNorm2d).eval()
    out = block(torch.randn(2, 4, 5, 8), torch.tensor([3, 8]))
    assert not out[0, :, :, 3:].any()
