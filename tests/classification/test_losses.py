"""The losses that a classifier takes by name, for labels that exclude another and for several labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baimu.backbones.stages import Stages
from baimu.classification.classifier import LOSSES, MULTI_LABEL_LOSSES, Classifier
from baimu.errors import UnknownNameError
from baimu.losses.bi_tempered import bi_tempered_binary_loss, bi_tempered_loss
from baimu.losses.classification import softmax_focal_loss
from baimu.losses.focal import sigmoid_focal_loss
from baimu.targets import ClassTargets


class Stem(Stages):
    """One convolution."""

    def __init__(self) -> None:
        super().__init__({1: (4, 2)}, out=(1,))
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)

    def parts(self, level: int) -> list[nn.Module]:
        return [self.conv]


def classifier(**options: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(Stem(), num_classes=3, **options)


IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.3, 0.7, 0], [0, 0, 1]])
SEVERAL = torch.tensor([[1.0, 0, 1], [0, 0, 0], [-1, 1, 1], [-1, -1, -1]])


NAMES = [*((name, False) for name in LOSSES), *((name, True) for name in MULTI_LABEL_LOSSES)]


@pytest.mark.parametrize(("name", "multi_label"), NAMES)
def test_every_loss_is_finite_falls_along_its_gradient_and_takes_no_unknown_label(name: str, multi_label: bool) -> None:
    model = classifier(loss=name, multi_label=multi_label)
    shares = SEVERAL if multi_label else torch.cat([ONE[:3], -torch.ones(1, 3)])
    loss = model.losses(IMAGES, ClassTargets(shares))["class"]
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 1e-3 * parameter.grad
    assert model.losses(IMAGES, ClassTargets(shares))["class"] < loss
    other = IMAGES.clone()
    other[3] *= -2  # nobody knows its labels
    again = classifier(loss=name, multi_label=multi_label)
    assert again.losses(other, ClassTargets(shares))["class"].item() == pytest.approx(loss.item())


@pytest.mark.parametrize(("name", "function"), [("focal", softmax_focal_loss), ("bi_tempered", bi_tempered_loss)])
def test_names_mean_the_functions_at_their_papers_numbers(name: str, function: Any) -> None:
    model = classifier(loss=name)
    expected = function(model(IMAGES), ONE).mean()
    torch.testing.assert_close(model.losses(IMAGES, ClassTargets(ONE))["class"], expected)


def test_several_labels_take_the_binary_form_and_count_known_labels_only() -> None:
    known = SEVERAL >= 0

    def focal(logits: Tensor) -> Tensor:
        return sigmoid_focal_loss(logits, SEVERAL == 1)

    def tempered(logits: Tensor) -> Tensor:
        return bi_tempered_binary_loss(logits, SEVERAL.clamp(min=0))

    for name, function in (("focal", focal), ("bi_tempered", tempered)):
        model = classifier(loss=name, multi_label=True)
        expected = function(model(IMAGES))[known].mean()
        torch.testing.assert_close(model.losses(IMAGES, ClassTargets(SEVERAL))["class"], expected)


def test_a_function_of_ones_own_and_names_that_do_not_exist() -> None:
    model = classifier(loss=lambda logits, shares: logits.sum(1) * 0 + 7)
    assert model.losses(IMAGES, ClassTargets(ONE))["class"].item() == 7
    with pytest.raises(UnknownNameError, match=r"unknown loss 'bitempered'. Did you mean bi_tempered"):
        classifier(loss="bitempered")
    with pytest.raises(UnknownNameError, match=r"unknown loss of several labels 'cross_entropy'"):
        classifier(loss="cross_entropy", multi_label=True)
