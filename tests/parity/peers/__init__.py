"""Networks that other installed libraries have too: built there at random, converted, and run side by side.

Which pairs there are follows from names: of our backbones and catalogue, of the library, and of the routes in
``baimu.weights``. Each library has a module here with

- ``SOURCE``, its tables of parameter names;
- ``backbone(name)``, its classifier of that name and a function from images to its maps C2…C5, or ``None``;
- ``detector(name)``, its name of one of our detectors, or ``None``;
- ``compare(ours, theirs)``, part, our tensor and its tensor, of everything to compare of a detector.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor, nn

import baimu.backbones
from baimu import zoo
from baimu.errors import CheckpointError
from baimu.weights.keys import Source, load_converted
from tests.parity.outcome import Outcome, worst
from tests.parity.peers.filled import fill

LIBRARIES = ("torchvision", "timm", "transformers")
SIZES = ((96, 160), (128, 192))
"""Of a backbone's input, in pixels."""

Parts = Iterator[tuple[str, Tensor, Tensor]]
"""Part (features, outputs, …), our tensor, theirs."""


class Peer(NamedTuple):
    """A pair of networks of equal configuration."""

    library: str
    theirs: str
    ours: str
    compare: Callable[[], Parts]


def backbones() -> dict[str, Callable[..., nn.Module]]:
    """Every public builder of the room of backbones."""
    found = {}
    for entry in pkgutil.iter_modules(baimu.backbones.__path__, "baimu.backbones."):
        module = importlib.import_module(entry.name)
        for name, build in inspect.getmembers(module, inspect.isfunction):
            if build.__module__ == module.__name__ and not name.startswith("_"):
                found[name] = build
    return found


def peers(library: str) -> Iterator[Peer]:
    """Every pair with a library; none where it is not installed."""
    if importlib.util.find_spec(library) is None:
        return
    adapter = importlib.import_module(f"tests.parity.peers.with_{library}")
    for name, build in backbones().items():
        if served(adapter.SOURCE, name) and adapter.backbone(name) is not None:
            yield Peer(library, name, name, partial(compare_backbone, adapter, name, build))
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


@torch.no_grad()
def compare_backbone(adapter: ModuleType, name: str, build: Callable[..., nn.Module]) -> Parts:
    """The maps C2…C5 at two sizes."""
    net, maps = adapter.backbone(name)()
    fill(net)
    ours = build().eval()
    load_converted(ours, net.state_dict(), adapter.SOURCE.route(name))
    for height, width in SIZES:
        images = torch.randn(1, 3, height, width)
        for found, expected in zip(ours(images), maps(images), strict=True):
            yield "features", found, expected


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
    version = importlib.metadata.version(peer.library).partition("+")[0]
    return Outcome(f"{peer.library}/{peer.theirs}", f"{peer.library} {version}", peer.ours, {}, dict(apart))
