"""Networks that other installed libraries have too: built there at random, converted, and run side by side.

Pairs of classifiers stand in ``tests/backbones/families.py``; those of detectors follow from names, of our catalogue,
of the library, and of the routes in ``baimu.weights``. Each library has a module here with

- ``SOURCE``, its tables of parameter names;
- ``classifier(name)``, its classifier of that name;
- ``detector(name)``, its name of one of our detectors, or ``None``;
- ``compare(ours, theirs)``, part, our tensor and its tensor, of everything to compare of a detector.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from baimu import zoo
from baimu.errors import CheckpointError
from baimu.weights.keys import Source
from tests.backbones.families import ROWS
from tests.parity.outcome import Outcome, worst
from tests.parity.peers import classifiers

LIBRARIES = ("torchvision", "timm", "transformers")
Parts = Iterator[tuple[str, Tensor, Tensor]]
"""Part (features, outputs, …), our tensor, theirs."""


class Peer(NamedTuple):
    """A pair of networks of equal configuration."""

    library: str
    theirs: str
    ours: str
    compare: Callable[[], Parts]
    arguments: Mapping[str, Any] = {}  # of ours, by which it is the same network


def peers(library: str) -> Iterator[Peer]:
    """Every pair with a library; none where it is not installed."""
    if importlib.util.find_spec(library) is not None:
        yield from classifier_peers(library)
        yield from detector_peers(library)


def classifier_peers(library: str) -> Iterator[Peer]:
    """The rows of the families that have a peer there."""
    for row in ROWS:
        for peer in (peer for peer in row.peers if peer.library == library):
            arguments = dict(classifiers.route_of(row, peer).arguments)
            comparison = partial(classifiers.compare, row, peer, classifiers.sizes_of(row))
            yield Peer(library, peer.name, row.name, comparison, arguments)


def detector_peers(library: str) -> Iterator[Peer]:
    """Those that the library has too."""
    adapter = classifiers.adapter(library)
    for name in zoo.list_models():
        theirs = adapter.detector(name) if served(adapter.SOURCE, name) else None
        if theirs:
            yield Peer(library, theirs, name, partial(adapter.compare, name, theirs))


def served(source: Source, name: str) -> bool:
    """Is there a route for it?"""
    try:
        source.route(name)
    except CheckpointError:
        return False
    return True


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest, relative to the largest magnitude of ``expected``; ``inf`` where the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def compare_peer(peer: Peer) -> Outcome:
    """Each part's largest difference, from parameters that are the same in every run."""
    torch.manual_seed(0)
    apart: dict[str, float] = defaultdict(float)
    for part, found, expected in peer.compare():
        apart[part] = worst([apart[part], difference(found, expected)])
    return outcome_of(peer, dict(apart))


def outcome_of(peer: Peer, differences: dict[str, float]) -> Outcome:
    """A row of the page."""
    version = importlib.metadata.version(peer.library).partition("+")[0]
    source = f"{peer.library} {version}"
    return Outcome(f"{peer.library}/{peer.theirs}", source, peer.ours, dict(peer.arguments), differences)
