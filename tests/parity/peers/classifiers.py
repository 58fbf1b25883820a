"""Classifiers beside those of other libraries: the rows of ``tests/backbones/families.py`` that have a peer."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from baimu.classification.classifier import Classifier
from baimu.weights.keys import Route, load_converted
from baimu.zoo import create_model
from tests.backbones.families import Peer, Row
from tests.parity.observe import Trace
from tests.parity.peers.filled import fill

Compared = Iterator[tuple[str, Tensor, Tensor]]
"""Part (features, logits), our tensor, theirs."""


def adapter(library: str) -> Any:
    """The module of this package that knows a library."""
    return importlib.import_module(f"tests.parity.peers.with_{library}")


def peer_of(peer: Peer, **options: Any) -> nn.Module:
    """The library's network, at random."""
    return adapter(peer.library).classifier(peer.name, **{**peer.options, **options})


def route_of(row: Row, peer: Peer) -> Route:
    """From the library's names to ours."""
    return adapter(peer.library).SOURCE.route(row.name)


def sizes_of(row: Row) -> list[tuple[int, int]]:
    """Two sizes of input, in pixels; :func:`compare` rounds them up where the peer needs it."""
    return [(max(128, row.side), 160), (row.side + 33, row.side + 5)]


def logits(answer: Any) -> Tensor:
    """Of what a library's classifier gives."""
    return answer if isinstance(answer, Tensor) else answer.logits


@torch.no_grad()
def compare(row: Row, peer: Peer, sizes: Iterable[tuple[int, int]], *, batch: int = 1, **arguments: Any) -> Compared:
    """Every level's map that the peer has, and the logits, with the same parameters; ``arguments`` are ours."""
    route = route_of(row, peer)
    theirs = fill(peer_of(peer))
    ours = create_model(row.name, **{**route.arguments, **arguments}).eval()
    assert isinstance(ours, Classifier)
    load_converted(ours, theirs.state_dict(), route)
    taps = {level: tap.partition("#")[::2] for level, tap in peer.taps.items()}
    for height, width in sizes:
        random = torch.Generator().manual_seed(1)
        images = torch.randn(batch, 3, _rounded(row, height), _rounded(row, width), generator=random)
        with Trace(theirs, *{module for module, _ in taps.values()}) as trace:
            expected = logits(theirs(images))
        maps = ours.backbone(images)
        for level, (module, call) in taps.items():
            yield "features", maps[ours.backbone.out.index(level)], trace.outputs[module][int(call or 0)]
        yield "logits", ours.head(maps), expected


def _rounded(row: Row, side: int) -> int:
    return -(-side // row.multiple) * row.multiple
