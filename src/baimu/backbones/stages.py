"""What the backbones have in common: levels, of which some come out, some are frozen and all can be computed twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from baimu.layers.heads import LinearHead

State = TypeVar("State", Tensor, list[Tensor])  # what goes from level to level


class Stages(nn.Module):
    """Images go from level to level, each a map of its stride; ``out`` chooses those that come out, fine to coarse.

    ``levels`` gives (channels, stride) of every level that the family knows. A subclass builds the modules of the
    levels in ``self.levels``, which end with the last one that is asked for, says in ``parts`` which of them make
    a level, in ``stage`` how (unless one after the other), and calls ``freeze`` when all are there.

    ``frozen_stages=n`` freezes the levels up to n: no gradient, and norms that keep their statistics in training; 0
    freezes nothing. ``checkpointing`` forgets what is inside a level and computes it again when its gradient is due
    (1604.06174): less memory, more time, the same numbers.
    """

    dropout: float = 0.0  # of the classifier, as the paper has it
    auxiliary_weight: float = 0.0  # of the loss of each auxiliary classifier

    def __init__(
        self,
        levels: Mapping[int, tuple[int, int]],
        *,
        out: Sequence[int],
        frozen_stages: int = 0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if not out or list(out) != [level for level in levels if level in out]:
            raise ValueError(f"out must name levels of {tuple(levels)} in rising order, got {tuple(out)}")
        if frozen_stages not in range(max(levels) + 1):
            raise ValueError(f"frozen_stages must be 0 (nothing) to {max(levels)} (everything), got {frozen_stages}")
        self.out = tuple(out)
        self.levels = tuple(level for level in levels if level <= max(out))
        self.channels = tuple(levels[level][0] for level in out)
        self.strides = tuple(levels[level][1] for level in out)
        self.frozen_stages = frozen_stages
        self.checkpointing = checkpointing

    def parts(self, level: int) -> list[nn.Module]:
        """The modules that make the map of ``level`` from that of the level before."""
        raise NotImplementedError

    def stage(self, level: int, x: Tensor) -> Tensor:
        """The map of ``level`` from that of the level before; of the first from the images."""
        for part in self.parts(level):
            x = part(x)
        return x

    def make_head(self, num_classes: int, dropout: float) -> nn.Module:
        """The paper's classifier on the maps of ``out``: a module from their list to logits (B, K)."""
        return LinearHead(self.channels[-1], num_classes, dropout)

    def auxiliary_heads(self, num_classes: int) -> nn.ModuleDict:
        """Classifiers that read inner maps and help training alone: by name, from a map to logits (B, K). Few papers
        have them."""
        del num_classes
        return nn.ModuleDict()

    def with_inner_maps(self, images: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        """``forward``, and the map that each auxiliary head reads."""
        return self(images), {}

    def freeze(self) -> None:
        """Take the gradient from all frozen levels."""
        for part in self._frozen():
            part.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        frozen = [level for level in self.levels if 0 < self.frozen_stages >= level]
        return [part for level in frozen for part in self.parts(level)]

    def train(self, mode: bool = True) -> Stages:
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    @property
    def forgets(self) -> bool:
        """Whether this pass is computed again for its gradient."""
        return self.checkpointing and self.training and torch.is_grad_enabled()

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised images → the maps of ``out``."""
        x, maps = images, []
        for level in self.levels:
            x = checkpointed(self, level, x) if self.forgets else self.stage(level, x)
            if level in self.out:
                maps.append(x)
        return maps


class Chain(Stages):
    """Stages whose levels are modules one after the other, some of whose maps auxiliary heads read."""

    def add_levels(self, levels: Iterable[Mapping[str, nn.Module]], *, taps: Mapping[str, str] | None = None) -> None:
        """Take the modules of each level by name, first level first, but for levels that nobody asked for. ``taps``
        names the module after which each auxiliary head reads."""
        self.readers = {module: head for head, module in (taps or {}).items()}
        self.names: dict[int, tuple[str, ...]] = {}
        for level, parts in zip(self.levels, levels, strict=False):
            self.names[level] = tuple(parts)
            for name, part in parts.items():
                self.add_module(name, part)

    def parts(self, level: int) -> list[nn.Module]:
        return [self.get_submodule(name) for name in self.names[level]]

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.with_inner_maps(images)[0]

    def with_inner_maps(self, images: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        x, maps, inner = images, [], {}
        for level in self.levels:
            for name in self.names[level]:
                part = self.get_submodule(name)
                x = computed_again(part, [part], x) if self.forgets else part(x)
                if name in self.readers:
                    inner[self.readers[name]] = x
            if level in self.out:
                maps.append(x)
        return maps, inner


def checkpointed(stages: Stages, level: int, x: Tensor) -> Tensor:
    """``stages.stage(level, x)``, whose inside is computed again for the gradient."""
    return computed_again(partial(stages.stage, level), stages.parts(level), x)


def computed_again(run: Callable[[State], State], parts: Sequence[nn.Module], x: State) -> State:
    """``run(x)``, in which ``parts`` work and whose inside is computed again for the gradient."""

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return contextlib.nullcontext(), _without_statistics(parts)

    return cast("State", checkpoint(run, x, use_reentrant=False, context_fn=contexts))


@contextlib.contextmanager
def _without_statistics(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Batch norms see the batch inside the block, but do not remember it: it was remembered the first time."""
    kind = nn.modules.batchnorm._BatchNorm
    norms = [m for part in parts for m in part.modules() if isinstance(m, kind) and m.training]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, count in before:
        norm.momentum, norm.num_batches_tracked = 0.0, None if count is None else count.clone()
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count
