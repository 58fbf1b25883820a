"""Losses of pixels against slow loops written from their equations: cross entropy, hard pixels, Dice, Lovász."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baimu.errors import BaimuError, UnknownNameError
from baimu.losses.dice import dice_loss
from baimu.losses.lovasz import lovasz_hinge_loss, lovasz_softmax_loss, lovasz_weights
from baimu.losses.pixels import pixel_cross_entropy_loss
from baimu.sample.hard_pixels import hard_pixels
from baimu.semantic_segmentation.pixel_losses import LOSSES, Setting, terms_of
from baimu.targets import UNDECIDED


def example(seed: int = 0, classes: int = 4, size: tuple[int, int] = (5, 6)) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, classes, *size, generator=random)
    labels = torch.randint(0, classes, (2, *size), generator=random, dtype=torch.uint8)
    labels[:, 0, :3] = UNDECIDED
    return logits, labels


def test_cross_entropy_of_each_pixel() -> None:
    logits, labels = example()
    weight = torch.tensor([1.0, 2, 0.5, 3])
    for w in (None, weight):
        found = pixel_cross_entropy_loss(logits, labels, w)
        for b, y, x in np.ndindex(*labels.shape):
            k = int(labels[b, y, x])
            p = torch.softmax(logits[b, :, y, x].double(), 0)
            expected = 0.0 if k == UNDECIDED else -math.log(p[k]) * (1.0 if w is None else float(w[k]))
            assert found[b, y, x].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_the_two_divisors() -> None:
    logits, labels = example()
    losses = pixel_cross_entropy_loss(logits, labels)
    decided = int((labels != UNDECIDED).sum())
    assert decided == 60 - 6
    found = {average: LOSSES["cross_entropy"](logits, labels, Setting(average)) for average in ("valid", "all")}
    assert found["valid"].item() == pytest.approx(losses.sum().item() / decided, rel=1e-6)
    assert found["all"].item() == pytest.approx(losses.sum().item() / 60, rel=1e-6)
    weights = torch.tensor([1.0, 2, 0.5, 3])
    torchs = torch.nn.functional.cross_entropy(logits, labels.long(), weights, ignore_index=UNDECIDED)
    ours = LOSSES["cross_entropy"](logits, labels, Setting("valid", weights))
    assert ours.item() == pytest.approx(torchs.item(), rel=1e-6)


@pytest.mark.parametrize("least", [1, 5, 20, 1000])
def test_hard_pixels_are_those_of_the_lowest_probability(least: int) -> None:
    logits, labels = example(1)
    found = hard_pixels(logits, labels, threshold=0.3, least=least)
    places = [tuple(i) for i in np.argwhere(labels.numpy() != UNDECIDED)]
    own = {(b, y, x): torch.softmax(logits[b, :, y, x], 0)[int(labels[b, y, x])].item() for b, y, x in places}
    ordered = sorted(own.values())
    bound = max(0.3, ordered[min(2 * least, len(ordered) - 1)])
    assert {tuple(i) for i in np.argwhere(found.numpy())} == {place for place, p in own.items() if p < bound}
    assert not found[labels == UNDECIDED].any()


def test_hard_pixels_of_nothing_decided() -> None:
    logits, labels = example()
    assert not hard_pixels(logits, torch.full_like(labels, UNDECIDED)).any()


def test_dice_is_its_formula() -> None:
    p, t = torch.tensor([[0.9, 0.2, 0.6]]), torch.tensor([[1.0, 0, 1]])
    assert dice_loss(p, t).item() == pytest.approx(0.0660024696, abs=2e-7)
    assert dice_loss(p, t, eps=0.0, squared=False).item() == pytest.approx(1 - 2 * 1.5 / (1.7 + 2), rel=1e-6)
    assert dice_loss(t, t, eps=0.0).item() == pytest.approx(0, abs=1e-7)
    assert dice_loss(p * 0, t * 0, squared=False).item() == 0.0


def test_dice_of_classes_skips_undecided_pixels_and_absent_classes() -> None:
    logits, labels = example()
    labels[labels == 3] = 0
    p, known = logits.softmax(1), labels != UNDECIDED
    each = []
    for k in range(3):
        q, t = p[:, k][known].double(), (labels == k)[known].double()
        each.append(1 - 2 * (q * t).sum() / ((q * q).sum() + t.sum() + 2e-3))
    found = LOSSES["dice"](logits, labels, Setting())
    assert found.item() == pytest.approx(float(sum(each) / 3), rel=1e-5)


def jaccard_loss(truth: tuple[int, ...], wrong: tuple[int, ...]) -> float:
    """1 − IoU of a class whose truth is given and of whose pixels ``wrong`` are told wrongly (1705.08790 Eq. 4)."""
    found = [t != w for t, w in zip(truth, wrong, strict=True)]
    both = sum(t and f for t, f in zip(truth, found, strict=True))
    either = sum(t or f for t, f in zip(truth, found, strict=True))
    return 1 - both / either if either else 0.0


def test_at_whole_errors_lovasz_is_one_minus_iou() -> None:
    """The extension agrees with the set function on every set: all 4-pixel truths, all sets of wrong pixels."""
    for truth in itertools.product((0, 1), repeat=4):
        if not any(truth):
            continue
        for wrong in itertools.product((0, 1), repeat=4):
            found = [t ^ w for t, w in zip(truth, wrong, strict=True)]
            p = torch.tensor([[1.0 - f, float(f)] for f in found])
            labels = torch.tensor(truth)
            losses = [jaccard_loss(truth, wrong)]
            if not all(truth):
                losses.append(jaccard_loss(tuple(1 - t for t in truth), wrong))
            assert lovasz_softmax_loss(p, labels).item() == pytest.approx(sum(losses) / len(losses), abs=1e-6)


def slow_extension(errors: list[float], truth: list[int]) -> float:
    """The definition: errors fall, and each weighs what 1 − IoU grows by when its pixel joins (Eq. 3)."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    total, before, wrong = 0.0, 0.0, [0] * len(errors)
    for i in order:
        wrong[i] = 1
        now = jaccard_loss(tuple(truth), tuple(wrong))
        total += errors[i] * (now - before)
        before = now
    return total


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 12))
def test_lovasz_is_its_definition(seed: int, classes: int, pixels: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), pixels)
    labels = rng.integers(0, classes, pixels)
    each = []
    for k in set(labels.tolist()):
        truth = (labels == k).astype(int).tolist()
        each.append(slow_extension(np.abs(np.array(truth) - p[:, k]).tolist(), truth))
    more = torch.cat([torch.tensor(labels), torch.tensor([UNDECIDED, UNDECIDED])])
    padded = torch.cat([torch.tensor(p), torch.full((2, classes), 1 / classes)])
    assert lovasz_softmax_loss(padded, more).item() == pytest.approx(sum(each) / len(each), abs=1e-5)


def test_lovasz_hinge_and_its_gradient() -> None:
    logits = torch.tensor([0.5, -2.0, 1.5, 0.2], requires_grad=True)
    truth = torch.tensor([True, False, False, True])
    errors = [max(0.0, 1 - l * s) for l, s in zip(logits.tolist(), (1, -1, -1, 1), strict=True)]
    loss = lovasz_hinge_loss(logits, truth)
    assert loss.item() == pytest.approx(slow_extension(errors, [1, 0, 0, 1]), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad.sign().tolist()) == [-1, 0, 1, -1]
    weights = lovasz_weights(torch.tensor([[0.0], [1], [1], [0]]))
    assert weights.sum().item() == pytest.approx(1.0)


def test_lovasz_of_nothing() -> None:
    p = torch.full((3, 2), 0.5, requires_grad=True)
    loss = lovasz_softmax_loss(p, torch.full((3,), UNDECIDED))
    assert loss.item() == 0.0
    loss.backward()
    assert p.grad is not None
    assert not p.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_falls_as_the_truth_becomes_likelier(name: str) -> None:
    logits, labels = example()
    truth = torch.nn.functional.one_hot(labels.long().clamp(max=3), 4).movedim(-1, 1) * (labels != UNDECIDED)[:, None]
    values = [LOSSES[name](logits + 3 * step * truth, labels, Setting()).item() for step in range(4)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < (0.9 if name == "joint_dice" else 0.5) * values[0]  # its other classes' sigmoids stay


def test_sums_of_losses_by_name() -> None:
    assert [(t.name, t.weight) for t in terms_of("cross_entropy + 3*dice")] == [("cross_entropy", 1.0), ("dice", 3.0)]
    with pytest.raises(UnknownNameError, match="lovasz"):
        terms_of("lovas")
    with pytest.raises(BaimuError, match="is no loss; write for example"):
        terms_of("cross_entropy+3 dice")
    with pytest.raises(BaimuError, match="dice is there twice"):
        terms_of("dice+2*dice")
