"""Single-object figures against slow loops of the toolkits' making, and against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from baimu.metrics.sot import (
    FAILED,
    RUNS,
    STARTED,
    Followed,
    ResetRun,
    SotScores,
    run_once,
    run_with_resets,
    vot_figures,
)
from baimu.results import Tracks


def noisy(seed: int, length: int = 40) -> Followed:
    rng = np.random.default_rng(seed)
    corner = np.cumsum(rng.normal(0, 4, (length, 2)), 0) + 100
    truth = np.concatenate([corner, corner + rng.uniform(20, 60, 2)], 1)
    found = truth + np.cumsum(rng.normal(0, 1.5, (length, 4)), 0)
    found[0] = truth[0]
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    truth[rng.integers(1, length, 3)] = np.nan
    return Followed(f"noisy {seed}", truth, found, (150, 160), 2.0)


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / max(union, 1e-12)


def slow_hold(box: np.ndarray) -> list[float]:
    """As GOT-10k's toolkit: left and top into the frame of 160 x 150, then width and height."""
    left, top = min(max(box[0], 0), 160), min(max(box[1], 0), 150)
    width, height = min(max(box[2] - box[0], 0), 160 - left), min(max(box[3] - box[1], 0), 150 - top)
    return [left, top, left + width, top + height]


def test_one_pass_equals_loops_over_frames_and_thresholds() -> None:
    runs = [noisy(seed, 30 + 10 * seed) for seed in range(4)]
    expected: dict[str, list[float]] = {name: [] for name in ("success_auc", "precision_20", "ao", "sr_50", "sr_75")}
    for run in runs:
        known = [i for i in range(len(run.truth)) if not np.isnan(run.truth[i, 0])]
        overlap = [slow_iou(run.truth[i], run.found[i]) for i in known]
        away = [
            np.hypot(*((run.truth[i, :2] + run.truth[i, 2:] - run.found[i, :2] - run.found[i, 2:]) / 2)) for i in known
        ]
        expected["success_auc"].append(np.mean([np.mean([o > t / 20 for o in overlap]) for t in range(21)]))
        expected["precision_20"].append(np.mean([d <= 20 for d in away]))
        held = [slow_iou(slow_hold(run.truth[i]), slow_hold(run.found[i])) for i in known if i > 0]
        expected["ao"] += held
        expected["sr_50"] += [o > 0.5 for o in held]
        expected["sr_75"] += [o > 0.75 for o in held]
    scores = SotScores(runs)
    figures = scores.figures()
    for name, values in expected.items():
        assert figures[name] == pytest.approx(np.mean(values), rel=1e-12), name
    assert figures["fps"] == pytest.approx((sum(len(r.truth) for r in runs) - 4) / 8)
    assert scores.success.mean() == pytest.approx(figures["success_auc"])
    assert scores.precision[20] == pytest.approx(figures["precision_20"])
    assert len(str(scores).splitlines()) == 6
    assert scores.to_dict()["figures"] == figures


def test_a_perfect_and_a_lost_tracker() -> None:
    run = noisy(0)
    perfect = SotScores([Followed("a", run.truth, np.nan_to_num(run.truth), (150, 160))]).figures()
    assert perfect["ao"] == 1
    assert perfect["success_auc"] == pytest.approx(20 / 21)  # nothing is above 1
    lost = SotScores([Followed("a", run.truth, np.tile([-9.0, -9, -8, -8], (40, 1)), (150, 160))]).figures()
    assert (lost["ao"], lost["success_auc"]) == (0, 0)


def slow_eao(runs: list[ResetRun], low: int, high: int) -> float:
    """As pysot's toolkit tells it: rows of fragments, a curve over lengths, its mean between two lengths."""
    longest, rows = max(len(run.iou) for run in runs), []
    for run in runs:
        failed = [i for i, mark in enumerate(run.marks) if mark == FAILED]
        points = [0] + [f + 5 for f in failed if f + 5 <= len(run.iou)]
        for i, point in enumerate(points):
            last = i == len(points) - 1
            row = [float("nan")] * longest if last else [0.0] * longest
            for k, value in enumerate(run.iou[point:] if last else run.iou[point : points[i + 1] + 1]):
                row[k] = 0.0 if np.isnan(value) else float(value)
            rows.append(row)
    curve = [1.0]
    for length in range(2, longest + 1):
        known = [row for row in rows if not np.isnan(row[length - 1])]
        curve.append(float(np.mean([np.mean(row[1:length]) for row in known])) if known else 0.0)
    return float(np.mean(curve[low - 1 : high]))


@pytest.mark.parametrize("seed", range(4))
def test_expected_overlap_equals_the_toolkits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    runs = []
    for length in (30, 55, 42):
        iou, marks, start = np.full(length, np.nan), np.zeros(length, int), 0
        for t in range(length):
            if t == start:
                marks[t] = STARTED
            elif t > start and rng.random() < 0.05:
                marks[t], start = FAILED, t + 5
            elif t > start:
                marks[t], iou[t] = RUNS, rng.uniform(0.1, 1)
        runs.append(ResetRun(str(length), iou, marks))
    for low, high in ((1, 55), (10, 40), (20, 90)):
        assert vot_figures(runs, (low, high))["eao"] == pytest.approx(slow_eao(runs, low, high), rel=1e-6)


def constant(overlap: float, length: int = 120) -> ResetRun:
    iou, marks = np.full(length, overlap), np.full(length, RUNS)
    iou[0], marks[0] = np.nan, STARTED
    return ResetRun("constant", iou, marks)


def test_a_constant_overlap_is_expected_and_nothing_is_nothing() -> None:
    figures = vot_figures([constant(0.6)], (100, 110))
    assert figures == pytest.approx({"accuracy": 0.6, "robustness": 0.0, "eao": 0.6})
    short = vot_figures([constant(0.6, 20)], (100, 110))
    assert np.isnan(short["eao"])


class Still:
    """A tracker that stays where it was told; it fails as soon as the object has left that place."""

    def init(self, frame: np.ndarray, box: np.ndarray) -> None:
        self.box = box

    def update(self, frame: np.ndarray) -> Tracks:
        one = np.zeros(1, np.int64)
        return Tracks(
            self.box.astype(np.float32)[None], np.ones(1, np.float32), one, ("target",), frame.shape[:2], ids=one + 1
        )


class Moving:
    """Ten pixels wide, two pixels a frame; not there in frame 1."""

    def frames(self, index: int) -> int:
        return 20

    def name(self, index: int) -> str:
        return "moving"

    def size(self, index: int) -> tuple[int, int]:
        return 20, 60

    def box(self, index: int, number: int) -> np.ndarray:
        return np.full(4, np.nan) if number == 1 else np.array([2.0 * number, 0, 2 * number + 10, 10])

    def frame(self, index: int, number: int) -> np.ndarray:
        return np.zeros((20, 60, 3), np.uint8)


def test_a_run_with_resets_starts_again_after_a_failure() -> None:
    run = run_with_resets(Still(), Moving(), 0)  # pyright: ignore[reportArgumentType]
    assert len(run.iou) == 19  # the frame without truth does not count
    assert run.marks.tolist() == [1, 3, 3, 3, 2, 0, 0, 0, 0, 1, 3, 3, 3, 3, 2, 0, 0, 0, 0]
    assert run.iou[1] == pytest.approx(6 / 14)
    assert run.failures == 2
    figures = vot_figures([run], (2, 10))
    assert figures["robustness"] == pytest.approx(100 * 2 / 19)
    assert np.isnan(figures["accuracy"])  # all of it is burn-in


def test_a_single_pass_goes_on_to_the_end() -> None:
    told = []
    run = run_once(Still(), Moving(), 0, report=told.append)  # pyright: ignore[reportArgumentType]
    assert len(run.found) == 20
    assert len(told) == 19
    assert np.isnan(run.iou[1])
    assert run.iou[2] == pytest.approx(6 / 14)
    assert len(run_once(Still(), Moving(), 0, most=5).found) == 5  # pyright: ignore[reportArgumentType]
