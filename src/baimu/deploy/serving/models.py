"""A model that answers requests: read by a pool of threads, run in batches by a thread of its own."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch import nn

from baimu.deploy.optimizing import optimize
from baimu.deploy.serving.batching import Batcher, Job
from baimu.deploy.serving.figures import Figures
from baimu.deploy.serving.inputs import image_item, text_item
from baimu.deploy.serving.limits import Limits, Refusal, pixels_for
from baimu.deploy.serving.options import Given, Options
from baimu.errors import BaimuError, unknown
from baimu.inference.batches import Ready
from baimu.inference.predictor import Precision, Predictor
from baimu.inference.sources import Item
from baimu.inference.tasks import TASKS, medium_of, task_of

log = logging.getLogger("baimu.serve")

WARM = 256
"""Pixels of the side of a grey image that every model looks at before it may serve."""


@dataclass(frozen=True)
class Setup:
    """How models are run. ``threads`` of torch (None: its own choice) work on a batch; ``readers`` decode and resize,
    and as many others write answers. ``optimize``: the fastest way to run a model is looked for when it is loaded
    (:func:`~baimu.deploy.optimizing.optimize`), for full batches. ``mix_sizes`` as of :func:`baimu.predict`."""

    max_batch: int = 8
    window: float = 0.0
    threads: int | None = None
    readers: int = 2
    device: str | None = None
    precision: Precision = "fp32"
    mix_sizes: bool = False
    optimize: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    allow: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if min(self.max_batch, self.readers, 1 if self.threads is None else self.threads) < 1 or self.window < 0:
            raise BaimuError("max_batch, readers and threads must be at least 1, and the window not negative")
        if self.precision not in get_args(Precision):
            raise unknown("precision", self.precision, get_args(Precision))


class Work(NamedTuple):
    """One image or text for the network, and how it is asked."""

    ready: Ready
    predictor: Predictor


class Served:
    """A model as it was loaded once. Its norms are folded once, its options may differ from request to request, and a
    batch holds only what was asked alike."""

    def __init__(
        self, name: str, network: nn.Module, version: int, setup: Setup, readers: ThreadPoolExecutor, figures: Figures
    ) -> None:
        task_of(network, None, {})  # an error that names what is no model of ours
        self.name, self.version, self.setup, self._readers = name, version, setup, readers
        self.task = str(getattr(network, "task", ""))
        self.options = Options(self.task, TASKS[self.task], own=setup.options, allow=setup.allow)
        self._network, self.medium = self._to_run(network), medium_of(network)
        self.classes = tuple(getattr(network, "classes", ()))
        self.pixels = pixels_for(network, setup.limits)
        self.predictor = functools.lru_cache(maxsize=64)(self._predictor)
        self._warm_up()
        self.users, self._retired, self._lock = 0, False, threading.Lock()
        self.batcher = Batcher(
            self._run,
            most=setup.max_batch,
            window=setup.window,
            name=name,
            told=figures.batch(name),
            begin=self._set_threads,
        )

    def submit(self, data: bytes, position: int, options: Given) -> Future[Any]:
        """The result of one file of a request, or a :class:`Refusal` where the file or an option is at fault."""
        future, ticket = Future(), self.batcher.coming()
        self._readers.submit(self._prepare, ticket, future, data, position, options)
        return future

    @property
    def patience(self) -> float:
        """Seconds that an image takes now, in batches."""
        return self.batcher.seconds / self.batcher.most

    def describe(self) -> dict[str, Any]:
        """What ``GET /models`` tells."""
        return {
            "name": self.name,
            "version": self.version,
            "task": self.task,
            "input": "image" if self.medium.drawn else "text",
            "classes": list(self.classes),
            "options": self.options.describe(),
        }

    @contextlib.contextmanager
    def use(self) -> Iterator[Served]:
        """Inside, the model stays able to answer, even if another takes its place."""
        with self._lock:
            self.users += 1
        try:
            yield self
        finally:
            with self._lock:
                self.users -= 1
            self._close_if_done()

    def retire(self) -> None:
        """Answer who uses it already, then end."""
        self._retired = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._retired and not self.users:
            self.batcher.close()

    def _predictor(self, options: Given) -> Predictor:
        setup = self.setup
        return Predictor(self._network, precision=setup.precision, fold=False, **dict(options))

    def _to_run(self, network: nn.Module) -> Any:
        """What answers in the network's place: norms folded, or, where asked for, the fastest that says the same."""
        setup = self.setup
        if not setup.optimize:
            return Predictor(network, device=setup.device, precision=setup.precision).model
        if setup.precision == "fp16" or setup.device not in (None, "cpu"):
            raise BaimuError("optimize finds the fastest way on a CPU in fp32 or bf16; leave it or the device out")
        with ThreadPoolExecutor(1, initializer=self._set_threads) as alone:  # in as many threads as will run it
            run = functools.partial(optimize, network, precision=setup.precision, batch_size=setup.max_batch)
            return alone.submit(run, report=log.info).result()

    def _item(self, data: bytes, position: int) -> Item:
        return image_item(data, position, self.pixels) if self.medium.drawn else text_item(data, position)

    def _prepare(self, ticket: int, future: Future[Any], data: bytes, position: int, options: Given) -> None:
        """In a reader's thread: decode and resize, then let it wait for its batch."""
        try:
            if not future.cancelled():
                work = Work(self._ready(self._item(data, position)), self._asked(options))
                mixes = self.setup.mix_sizes and work.predictor.task.pads
                self.batcher.put(Job(work, (options, None if mixes else work.ready.frame.size), future))
        except Exception as error:
            with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
                future.set_exception(error)
        finally:
            self.batcher.came(ticket)

    def _asked(self, options: Given) -> Predictor:
        try:
            return self.predictor(options)
        except (BaimuError, ValueError, TypeError) as error:
            raise Refusal(422, "wrong_option", str(error)) from None

    def _ready(self, item: Item) -> Ready:
        return self.medium.prepare(item, self._network.preprocess)

    def _run(self, works: list[Work]) -> list[Any]:
        predictor = works[0].predictor
        batch = self.medium.collate([work.ready for work in works], self._network.preprocess)
        return [
            self.medium.attach(found, work.ready)
            for found, work in zip(predictor.predict_batch(batch), works, strict=True)
        ]

    def _set_threads(self) -> None:
        if self.setup.threads is not None:
            torch.set_num_threads(self.setup.threads)

    def _warm_up(self) -> None:
        if self.medium.drawn:
            item = Item("warm-up", lambda: np.full((WARM, WARM, 3), 127, np.uint8), is_file=True)
        else:
            item = Item("warm-up", functools.partial(str, "warm-up"))  # pyright: ignore[reportArgumentType]
        predictor = self.predictor(self.options.parse([]))
        try:
            self._run([Work(self._ready(item), predictor)])
        except Exception as error:
            raise BaimuError(f"{self.name}: cannot answer for a plain image ({error}); it does not serve") from error
