"""Squeeze-and-Excitation Networks (Hu, Shen, Albanie, Sun, Wu 2017), arXiv 1709.01507: a factor for every channel."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Each channel times a number that two layers make from the means of all (Eq. 2–4): ``gate(W2 act(W1 mean))``.

    ``squeezed`` channels lie between the two, which are 1x1 convolutions with biases, so that checkpoints fit.
    """

    def __init__(
        self,
        channels: int,
        squeezed: int,
        *,
        act: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = act()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x * self.gate(self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True)))))
