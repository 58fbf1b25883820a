"""Robust Bi-Tempered Logistic Loss Based on Bregman Divergences (Amid, Warmuth, Anil, Koren 2019), arXiv 1906.03361.

Cross entropy is unbounded, so that one wrong label far from the boundary can outweigh all others, and the exponential
of softmax decays so fast that wrong labels near the boundary pull it over. A logarithm of temperature t1 < 1 bounds the
loss to 1 / (1 − t1); an exponential of t2 > 1 has a heavy tail. At t1 = t2 = 1 it is cross entropy, less the entropy of
the target. Which temperatures fit depends on the noise; the defaults here are mild.

Differences from the authors' code (google/bi-tempered-loss): none in numbers, its published test values are ours. Like
it, the normalisation of t2 > 1 runs five fixed-point iterations, after which a thousand classes may sum to 1.02; t2 < 1
is solved by bisection, with twenty halvings unless said otherwise (the code has five, its tests ask for twenty).
Dims: N rows, K classes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_EPS = 1e-10  # in the logarithm of the target, as the authors have it


def bi_tempered_loss(
    logits: Float[Tensor, "*n k"],
    shares: Float[Tensor, "*n k"],
    t1: float = 0.8,
    t2: float = 1.2,
    iterations: int | None = None,
) -> Float[Tensor, "*n"]:
    """The Bregman divergence of ``shares``, a distribution over the K classes, from the tempered softmax.

    Float32, 0 or more. ``t1`` < 1 bounds it, ``t2`` > 1 makes the tail heavy, ``t2`` < 1 gives distant classes exactly
    nothing. The gradient is the closed form, not that of the iterations. Raises ``ValueError`` for ``t1`` of 2 or
    more and ``t2`` of 0 or less.
    """
    if not (t1 < 2 and t2 > 0):
        raise ValueError(f"t1 must be below 2 and t2 above 0, got {t1} and {t2}")
    return _BiTempered.apply(logits, shares.float(), t1, t2, iterations)


def bi_tempered_binary_loss(
    logits: Float[Tensor, "*n"],
    target: Float[Tensor, "*n"],
    t1: float = 0.8,
    t2: float = 1.2,
    iterations: int | None = None,
) -> Float[Tensor, "*n"]:
    """The same of each logit against 0, the logit of "no"; ``target`` in 0…1."""
    logits, target = logits.float(), target.float()
    pair = torch.stack([torch.zeros_like(logits), logits], -1)
    return bi_tempered_loss(pair, torch.stack([1 - target, target], -1), t1, t2, iterations)


def tempered_softmax(logits: Float[Tensor, "*n k"], t: float, iterations: int | None = None) -> Float[Tensor, "*n k"]:
    """``exp_t(logits − λ)`` with the λ of each row for which it sums to 1, float32."""
    logits = logits.float()
    if t == 1:
        return logits.softmax(-1)
    below = logits - logits.amax(-1, keepdim=True)
    normalise = _fixed_point if t > 1 else _bisection
    return exp_t(below - normalise(below, t, iterations), t)


def log_t(u: Tensor, t: float) -> Tensor:
    """``(u^(1 − t) − 1) / (1 − t)``; the logarithm at t = 1."""
    return u.log() if t == 1 else (u ** (1 - t) - 1) / (1 - t)


def exp_t(u: Tensor, t: float) -> Tensor:
    """``[1 + (1 − t) u]₊^(1 / (1 − t))``, the inverse of :func:`log_t`."""
    return u.exp() if t == 1 else (1 + (1 - t) * u).clamp(min=0) ** (1 / (1 - t))


def _fixed_point(below: Tensor, t: float, iterations: int | None) -> Tensor:
    """λ above the largest logit for t > 1: the sum shrinks the logits until it reproduces itself."""
    shrunk = below
    for _ in range(5 if iterations is None else iterations):
        shrunk = below * exp_t(shrunk, t).sum(-1, keepdim=True) ** (1 - t)
    return -log_t(1 / exp_t(shrunk, t).sum(-1, keepdim=True), t)


def _bisection(below: Tensor, t: float, iterations: int | None) -> Tensor:
    """λ above the largest logit for t < 1: between 0, and where all classes in reach would share evenly."""
    reached = (below > -1 / (1 - t)).sum(-1, keepdim=True).to(below.dtype)
    low, high = torch.zeros_like(reached), -log_t(1 / reached, t)
    for _ in range(20 if iterations is None else iterations):
        middle = (low + high) / 2
        too_small = exp_t(below - middle, t).sum(-1, keepdim=True) < 1
        low, high = torch.where(too_small, low, middle), torch.where(too_small, middle, high)
    return (low + high) / 2


class _BiTempered(torch.autograd.Function):
    """Loss of each row, and its derivative by the logits in closed form."""

    @staticmethod
    def forward(ctx, logits: Tensor, shares: Tensor, t1: float, t2: float, iterations: int | None) -> Tensor:
        p = tempered_softmax(logits, t2, iterations)
        ctx.save_for_backward(p, shares)
        ctx.temperatures, ctx.dtype = (t1, t2), logits.dtype
        # a class of share 0 has no part in this, even where its probability has no logarithm
        surprise = torch.where(shares > 0, shares * (log_t(shares + _EPS, t1) - log_t(p, t1)), 0.0)
        return (surprise - (shares ** (2 - t1) - p ** (2 - t1)) / (2 - t1)).sum(-1)

    @staticmethod
    def backward(ctx, grad: Tensor):
        p, shares = ctx.saved_tensors
        t1, t2 = ctx.temperatures
        # a class out of reach (t2 < 1) stays there: its probability does not move with the logits
        pull = torch.where(p > 0, (p - shares) * p ** (t2 - t1), 0.0)
        escort = p**t2
        escort = escort / escort.sum(-1, keepdim=True)
        slope = pull - escort * pull.sum(-1, keepdim=True)
        return (grad[..., None] * slope).to(ctx.dtype), None, None, None, None
