"""The models of a server by name, each as it was loaded last, and how one takes another's place between requests."""

from __future__ import annotations

import contextlib
import gc
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import nn

from baimu.deploy.serving.figures import Figures
from baimu.deploy.serving.limits import Refusal
from baimu.deploy.serving.models import Served, Setup
from baimu.errors import BaimuError, unknown
from baimu.inference.predictor import load_model

log = logging.getLogger("baimu.serve")


class Registry:
    """Models by name. ``sources`` are what :func:`baimu.load` takes, or models. The first is the default.

    A model that takes another's place is loaded and tried beside it; then every new request has the new one, while
    those that came before are answered by the old.
    """

    def __init__(self, sources: Mapping[str, Any], setup: Setup, figures: Figures) -> None:
        if not sources:
            raise BaimuError("there is no model to serve; name one")
        self.sources, self.setup, self._figures = dict(sources), setup, figures
        self.default = next(iter(self.sources))
        self.readers = ThreadPoolExecutor(setup.readers, thread_name_prefix="baimu-read")
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._models: dict[str, Served] = {}
        for name in self.sources:
            self.reload(name)

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._models.values()))

    @contextlib.contextmanager
    def lease(self, name: str | None) -> Iterator[Served]:
        """The model of that name, or the default, as it is now; it stays usable inside. Unknown: 404."""
        with contextlib.ExitStack() as held:
            with self._lock:  # between looking it up and using it nobody may retire it
                found = self._models.get(self.default if name is None else name)
                if found is not None:
                    held.enter_context(found.use())
            if found is None:
                raise Refusal(404, "unknown_model", str(unknown("model", str(name), self._models)))
            yield found

    def reload(self, name: str) -> Served:
        """Load the model anew from where the server got it. Where that fails, the old one stays."""
        source = self._source(name)
        return self.swap(name, source if isinstance(source, nn.Module) else load_model(source))

    def swap(self, name: str, network: nn.Module) -> Served:
        """Let ``network`` answer under this name, once it has answered for a try."""
        self._source(name)
        with self._loading:
            gc.collect()  # what was replaced before may still be held by references in a circle
            old = self._models.get(name)
            version = 1 if old is None else old.version + 1
            new = Served(name, network, version, self.setup, self.readers, self._figures)
            with self._lock:
                self._models[name] = new
            if old is not None:
                old.retire()
        self._figures.loaded(name, new.version)
        if old is not None:
            log.info("%s: version %d serves now", name, new.version)
        return new

    def reload_all(self) -> None:
        """:meth:`reload` of every model; what fails is told in the log, and the old one stays."""
        for name in self.sources:
            try:
                self.reload(name)
            except Exception:
                log.exception("%s: cannot be loaded anew; the one that was loaded before stays", name)

    def close(self, seconds: float = 5.0) -> None:
        """End all threads, what waits answered first."""
        until = time.monotonic() + seconds
        for model in self:
            model.retire()
        for model in self:
            model.batcher.join(max(0.0, until - time.monotonic()))
        self.readers.shutdown(wait=False, cancel_futures=True)

    def _source(self, name: str) -> Any:
        if name not in self.sources:
            raise unknown("model", name, self.sources)
        return self.sources[name]


def names_of(models: Sequence[Any]) -> dict[str, Any]:
    """Names for models: ``NAME=MODEL`` says its own; otherwise that of the published weights, of the run folder, of the
    file, or of the network. Raises :class:`~baimu.errors.BaimuError` where two are the same."""
    named: dict[str, Any] = {}
    for model in models:
        name, source = _name_of(model)
        if name in named:
            raise BaimuError(f"{name}: two models of this name; say NAME=MODEL")
        named[name] = source
    return named


def _name_of(model: Any) -> tuple[str, Any]:
    if isinstance(model, nn.Module):
        spec = getattr(model, "spec", None)
        return (spec[0] if spec else type(model).__name__.lower()), model
    text = str(model)
    if found := re.fullmatch(r"([\w.-]+)=(.+)", text):
        return found[1], found[2]
    path = Path(text)
    if path.exists():
        path = path.resolve()
        inside = path.is_file() and path.stem in ("best", "last")
        text = path.parent.name if inside else path.stem if path.is_file() else path.name
    return re.sub(r"[^\w.-]+", "-", text), model
