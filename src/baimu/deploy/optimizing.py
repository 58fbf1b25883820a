"""``model.optimize()``: the fastest way to run a model on this machine, measured, and checked against the model."""

from __future__ import annotations

import copy
import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from baimu.deploy.candidates import Candidate, Precision, candidates_for
from baimu.deploy.proof import TOLERANCES, Tolerance, compare, samples
from baimu.errors import BaimuError
from baimu.inference.predictor import Predictor
from baimu.inference.tasks import medium_of
from baimu.results.result import Result
from baimu.targets import Batch

Ask = Callable[[Batch], Sequence[Result]]
"""A predictor's ``predict_batch``."""
MOST = 8
"""Images on which the answers are compared."""
TURNS = 5
PAUSE = 0.02
"""Seconds before each measurement, in which the threads of another runtime stop waiting for more work."""
WITHIN = 1.25
"""A candidate whose first call is slower than the best one's by more is not measured again."""
ENOUGH = 0.5
"""Share of the model's time below which no higher precision than the one asked for is tried."""


@dataclass(frozen=True)
class Row:
    """A candidate, and what came out."""

    name: str
    ms: float | None = None  # of a batch, everything included
    same: int | None = None  # results (objects, probabilities, pixels, …) that are the model's
    of: int = 0
    difference: float = 0.0  # the largest, of a score, probability or level
    chosen: bool = False
    why: str = ""  # not


@dataclass(frozen=True)
class Choice:
    """What :func:`optimize` chose, and why: print it."""

    rows: tuple[Row, ...]
    what: str  # model, images and threads
    seconds: float

    @property
    def chosen(self) -> Row:
        return next(row for row in self.rows if row.chosen)

    @property
    def name(self) -> str:
        return self.chosen.name

    @property
    def share(self) -> float:
        """Of the time that the model takes as it is."""
        first, best = self.rows[0].ms, self.chosen.ms
        return best / first if first and best else 1.0

    @property
    def line(self) -> str:
        """In one line."""
        row = self.chosen
        same = "" if row.same is None else f", {row.same} of {row.of} results the same"
        return f"{self.what}: {self.name}, {row.ms:.1f} ms, {self.share:.2f} of the model as it is{same}"

    def __str__(self) -> str:
        first = self.rows[0].ms or 1.0
        table: list[tuple[str, ...]] = [("candidate", "ms", "share", "same", "difference", "")]
        for row in self.rows:
            ms = ("", "") if row.ms is None else (f"{row.ms:.1f}", f"{row.ms / first:.2f}")
            same = ("", "") if row.same is None else (f"{row.same} of {row.of}", f"{row.difference:.1g}")
            table.append((row.name, *ms, *same, "chosen" if row.chosen else row.why))
        widths = [max(len(cells[i]) for cells in table) for i in range(5)]
        lines = [
            "  ".join(
                [
                    cells[0].ljust(widths[0]),
                    *(c.rjust(w) for c, w in zip(cells[1:5], widths[1:], strict=True)),
                    cells[5],
                ]
            )
            for cells in table
        ]
        return "\n".join([f"{self.what}, {self.seconds:.0f} s of trying", *(line.rstrip() for line in lines)])


class Setting(NamedTuple):
    """What candidates are built for, and judged by."""

    images: Any  # the user's, or None
    batches: Sequence[Batch]  # the first is timed
    expected: Sequence[Result]  # what the model says of them
    tolerance: Tolerance | float | None
    until: float  # on the clock of time.monotonic
    named: bool  # whether the user named the candidates: then none is too slow to build


def optimize(
    model: nn.Module,
    sample: Any = None,
    *,
    precision: Precision = "fp32",
    tolerance: Tolerance | float | None = None,
    candidates: Sequence[str] | None = None,
    seconds: float = 120.0,
    batch_size: int = 1,
    report: Callable[[str], None] | None = print,
) -> Any:
    """The fastest of the ways to run ``model`` here that say what it says.

    It has the same ``predict``, ``classes``, ``preprocess`` and method of its task, and a :class:`Choice` as
    ``choice``. (Images for that method are normalised by its own ``preprocess``: some take bytes.)

    =============  ==========================================================  ========================
    candidate      is                                                          precisions
    =============  ==========================================================  ========================
    ``eager``      the model as it is                                          fp32
    ``folded``     batch norm folded, maps channels-last, passes fused         fp32, bf16
    ``packed``     so, and the weights of convolutions laid out once           fp32, bf16
    ``onednn``     so, and linear layers by oneDNN                             fp32, bf16
    ``mkl``        so, but linear layers by MKL, packed                        fp32
    ``winograd``   so, and wide 3x3 convolutions by Winograd's way             fp32
    ``openvino``   OpenVINO, where it is installed                             fp32, bf16, int8
    ``onnx``       ONNX Runtime, where it is installed                         fp32, int8
    ``compiled``   inductor with frozen weights; takes a minute or more        fp32, bf16
    =============  ==========================================================  ========================

    ``sample``: images as :func:`baimu.predict` takes them, a dozen (for ``int8``, which takes its ranges from them, a
    hundred) of those it is to be used for; without, scenes are drawn. ``batch_size`` times the first of them is what
    is timed, everything from the resized image to the result, in the threads that torch has; answers are compared on
    the first :data:`MOST`. ``precision`` is the lowest that may be used, a higher one tried where that does not halve
    the time. ``candidates`` names those to try; else none is begun after ``seconds``, ``compiled`` not in their last
    minutes.

    ``tolerance``: the share of results that must be the same, or all of :class:`~baimu.deploy.proof.Tolerance`; by
    default that of the candidate's precision in ``TOLERANCES``. ``report`` is told in one line what was chosen.

    Raises :class:`~baimu.errors.BaimuError` for an unknown candidate, for ``int8`` without images, and where the model
    finds nothing in the images, so that nothing could be compared.
    """
    began = time.monotonic()
    tried = candidates_for(precision, candidates)
    if precision == "int8" and sample is None:
        raise BaimuError("int8 needs images to take its ranges from; give a hundred of those it is to be used for")
    batches = _batches(model, sample, batch_size)
    expected = _answers(asker(model), batches)
    if not sum(compare(one, one, TOLERANCES["fp32"]).of for one in expected):
        raise BaimuError(
            "the model finds nothing in these images, so nothing can be compared; give images with objects in them"
        )
    setting = Setting(sample, batches, expected, tolerance, began + seconds, candidates is not None)
    rows, best = choose(model, tried, setting)
    best = copy.deepcopy(best).eval() if best is model else best
    shape = "x".join(map(str, batches[0].inputs.shape))
    name = (getattr(model, "spec", None) or (type(model).__name__,))[0]
    what = f"{name} in {precision}, {shape}, {torch.get_num_threads()} threads"
    best.choice = Choice(tuple(rows), what, time.monotonic() - began)
    if report is not None:
        report(best.choice.line)
    return best


def choose(model: Any, tried: Sequence[Candidate], setting: Setting) -> tuple[list[Row], Any]:
    """A row for the model itself and for each candidate, and the fastest of them."""
    batch = setting.batches[0]
    rows, asked = {"eager": Row("eager")}, {"eager": asker(model)}
    first = {"eager": seconds_of(partial(asked["eager"], batch))}
    for candidate in tried:
        name = str(candidate)
        if candidate.precision != tried[0].precision and min(first.values()) < ENOUGH * first["eager"]:
            rows[name] = Row(name, why=f"not tried: {tried[0].precision} is fast enough")
            continue
        rows[name], ask = _try(candidate, model, setting)
        if ask is not None:
            asked[name], first[name] = ask, seconds_of(partial(ask, batch))
    near = {name: ask for name, ask in asked.items() if name == "eager" or first[name] <= WITHIN * min(first.values())}
    times = {name: 1e3 * spent for name, spent in first.items()}
    times |= take_turns({name: partial(ask, batch) for name, ask in near.items()}, TURNS)
    best = min(near, key=times.__getitem__)
    for name, ms in times.items():
        rows[name] = replace(rows[name], ms=ms, chosen=name == best, why="" if name == best else "slower")
    return list(rows.values()), model if best == "eager" else asked[best].__self__.model


def _try(candidate: Candidate, model: Any, setting: Setting) -> tuple[Row, Ask | None]:
    """Build it and compare it; what is not to be used comes back as a row alone."""
    name, left = str(candidate), setting.until - time.monotonic()
    if left < candidate.seconds and not setting.named:
        return Row(name, why=f"not tried: {max(left, 0.0):.0f} s were left"), None
    for package in candidate.packages:
        if importlib.util.find_spec(package) is None:
            return Row(name, why=f"not installed: pip install 'baimu[{candidate.extra}]'"), None
    try:
        ask = asker(candidate.build(model, setting.images))
        found = _answers(ask, setting.batches)
    except Exception as error:  # whatever a compiler or a runtime cannot do is a line of the table
        lines = str(error).strip().splitlines()
        return Row(name, why=f"failed: {lines[0] if lines else type(error).__name__}"), None
    tolerance = TOLERANCES[candidate.precision]
    if setting.tolerance is not None:
        given = setting.tolerance
        tolerance = given if isinstance(given, Tolerance) else tolerance._replace(share=given)
    compared = [compare(a, b, tolerance) for a, b in zip(setting.expected, found, strict=True)]
    same, of = sum(one.same for one in compared), sum(one.of for one in compared)
    row = Row(name, same=same, of=of, difference=max(one.difference for one in compared))
    if same >= tolerance.share * of:
        return row, ask
    worst = next((one.worst for one in compared if one.worst), "")
    return replace(row, why=f"another answer, at least {tolerance.share:.1%} must be the same; {worst}"), None


def asker(model: Any) -> Ask:
    """What answers a batch as users are answered."""
    own: dict[str, Any] = {"score_threshold": None} if model.task == "detection" else {}
    return Predictor(model, fold=False, **own).predict_batch


def _answers(ask: Ask, batches: Sequence[Batch]) -> list[Result]:
    return [result for batch in batches for result in ask(batch)]


def seconds_of(run: Callable[[], Any]) -> float:
    """The better of two calls, after one that is not timed."""
    run()
    return min(_timed(run) for _ in range(2))


def take_turns(runs: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Median milliseconds of each; every turn begins with the next of them, so that none always follows the same."""
    order, times = list(runs.items()), {name: [] for name in runs}
    for _ in range(turns):
        order.append(order.pop(0))
        for name, run in order:
            time.sleep(PAUSE)
            run()
            times[name].append(1e3 * _timed(run))
    return {name: statistics.median(values) for name, values in times.items()}


def _timed(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _batches(model: Any, sample: Any, batch_size: int) -> list[Batch]:
    """The first image ``batch_size`` times, and each of the others alone; at most :data:`MOST`."""
    medium = medium_of(model)
    ready = [medium.prepare(item, model.preprocess) for item in samples(model, sample)[:MOST]]
    if not ready:
        raise BaimuError("there are no images to try the model on; give some, or none at all and scenes are drawn")
    first = medium.collate(ready[:1] * batch_size, model.preprocess)
    return [first, *(medium.collate([one], model.preprocess) for one in ready[1:])]
