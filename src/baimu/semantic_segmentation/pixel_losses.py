"""The losses that a segmenter is trained with, by name, and sums of them. Dims: B images, K classes, H x W pixels."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor

from baimu.errors import BaimuError, unknown
from baimu.losses.dice import dice_loss
from baimu.losses.lovasz import lovasz_softmax_loss
from baimu.losses.pixels import pixel_cross_entropy_loss
from baimu.ops.distributed import reduce_mean
from baimu.sample.hard_pixels import hard_pixels
from baimu.targets import UNDECIDED

Average = Literal["valid", "all"]
"""What a sum over pixels is divided by: the pixels that count, as torch does, or all there are, as mmsegmentation."""


class Setting(NamedTuple):
    """What the losses of a model have in common."""

    average: Average = "valid"
    class_weights: Tensor | None = None  # (K,)


Loss = Callable[[Tensor, Tensor, Setting], Tensor]
"""Logits (B, K, H, W) and labels (B, H, W) of the same size → a float32 scalar."""


def cross_entropy(logits: Tensor, labels: Tensor, setting: Setting) -> Tensor:
    """The mean over pixels; with class weights, over the sum of their pixels' weights."""
    losses = pixel_cross_entropy_loss(logits, labels, setting.class_weights)
    return _mean(losses, labels != UNDECIDED, labels, setting)


def hard_cross_entropy(logits: Tensor, labels: Tensor, setting: Setting) -> Tensor:
    """Cross entropy of the hard pixels alone (:func:`~baimu.sample.hard_pixels.hard_pixels`)."""
    hard = hard_pixels(logits, labels)
    losses = pixel_cross_entropy_loss(logits, labels, setting.class_weights)
    return _mean(losses * hard, hard, labels, setting)


def class_dice(logits: Tensor, labels: Tensor, setting: Setting) -> Tensor:
    """The Dice loss of each class over the decided pixels of all images; the mean over the classes that are there."""
    del setting
    truth, known = one_hot(labels, logits.shape[1])
    p, t = logits.float().softmax(1) * known, truth
    losses = dice_loss(p.transpose(0, 1).flatten(1), t.transpose(0, 1).flatten(1))
    present = truth.amax((0, 2, 3)) > 0
    return losses.where(present, 0.0).sum() / present.sum().clamp(min=1)


def joint_dice(logits: Tensor, labels: Tensor, setting: Setting) -> Tensor:
    """mmsegmentation's: sigmoids, all classes of an image as one set, undecided pixels as pixels of no class."""
    del setting
    truth, _ = one_hot(labels, logits.shape[1])
    return dice_loss(logits.float().sigmoid().flatten(1), truth.flatten(1)).mean()


def lovasz(logits: Tensor, labels: Tensor, setting: Setting) -> Tensor:
    """The Lovász-Softmax loss over the pixels of all images."""
    del setting
    rows = logits.float().softmax(1).movedim(1, -1).flatten(0, 2)
    return lovasz_softmax_loss(rows, labels.flatten())


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "ohem": hard_cross_entropy,
    "dice": class_dice,
    "joint_dice": joint_dice,
    "lovasz": lovasz,
}


class Term(NamedTuple):
    """One loss of a sum."""

    name: str
    weight: float
    loss: Loss


def terms_of(text: str) -> tuple[Term, ...]:
    """The terms of ``"cross_entropy+3*dice"``: names of :data:`LOSSES`, each with a factor or none.

    Raises :class:`~baimu.errors.UnknownNameError` for another name, :class:`~baimu.errors.BaimuError` for anything
    else.
    """
    terms: dict[str, Term] = {}
    for part in text.split("+"):
        written = re.fullmatch(r"\s*(?:([\d.]+)\s*\*)?\s*(\w+)\s*", part)
        if written is None:
            raise BaimuError(f"loss={text!r}: {part.strip()!r} is no loss; write for example cross_entropy+3*dice")
        factor, name = written.groups()
        if name not in LOSSES:
            raise unknown("loss", name, LOSSES)
        if name in terms:
            raise BaimuError(f"loss={text!r}: {name} is there twice; give it one factor")
        terms[name] = Term(name, float(factor or 1), LOSSES[name])
    return tuple(terms.values())


def one_hot(
    labels: Integer[Tensor, "b h w"], num_classes: int
) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b 1 h w"]]:
    """1 for the class of each pixel, nothing for undecided ones; and 1 for those that are decided."""
    known = labels != UNDECIDED
    truth = F.one_hot(labels.long().where(known, 0), num_classes) * known[..., None]
    return truth.movedim(-1, 1).float(), known[:, None].float()


def _mean(losses: Tensor, counted: Tensor, labels: Tensor, setting: Setting) -> Tensor:
    """The sum divided by what ``setting`` says, over all processes: two of them equal one with the double batch."""
    if setting.average == "all":
        return losses.mean()
    weights: Any = counted.float()
    if setting.class_weights is not None:
        index = labels.long().where(labels != UNDECIDED, 0)
        weights = weights * setting.class_weights.to(weights)[index]
    return losses.sum() / reduce_mean(weights.sum()).clamp(min=torch.finfo(torch.float32).tiny)
