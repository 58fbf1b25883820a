"""Real images as the inputs of a graph, for ranges of 8 bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from baimu.deploy.graph import KINDS
from baimu.inference.sources import Item
from baimu.inference.tasks import medium_of
from baimu.preprocess import Preprocess
from baimu.runtimes.exported import InGraph


def calibration_inputs(model: Any, items: Sequence[Item]) -> Iterator[Sequence[Tensor]]:
    """Each item as a batch of one."""
    medium, preprocess = medium_of(model), model.preprocess
    prepare = partial(medium.prepare, preprocess=preprocess)
    for item in items:
        batch = medium.collate([prepare(item)], preprocess)
        inputs, sizes = batch.inputs, batch.targets.sizes
        if isinstance(preprocess, Preprocess):
            inputs = InGraph.of(preprocess).normalize(inputs, sizes)
        yield (inputs.contiguous(), sizes) if KINDS[model.task].takes_sizes else (inputs.contiguous(),)
