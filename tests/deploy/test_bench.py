"""A bench measures every cell in a process of its own, loses none to another's failure, and says what it measured."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import baimu
from baimu.deploy import bench_cells
from baimu.deploy.bench_cells import Cell, plan, why_not
from baimu.deploy.bench_processes import CellFailed, Processes, Worker
from baimu.deploy.bench_results import Bench, Row, compared
from baimu.deploy.bench_subject import resized
from baimu.errors import BaimuError, UnknownNameError
from baimu.weights.archive import write_archive
from baimu.weights.checkpoint import describe

CLASSES = ("light", "dark")
KILLED = "folded"
"""The runtime whose process is killed when its first turn comes."""


@dataclass
class Seen:
    """A bench, and what was told to its workers."""

    found: Bench
    out: Path
    orders: list[tuple[int, str]]  # process, what it was told
    said: list[str]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and beside it ``data``, a folder of pictures for each of its two classes."""
    folder = tmp_path_factory.mktemp("bench")
    model: Any = baimu.create_model("squeezenet1_1", num_classes=2)
    model.classes, model.preprocess = CLASSES, model.preprocess.replace(size=32)
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    write_archive(folder / "tiny.safetensors", state, describe(model))
    random = np.random.default_rng(0)
    for name, level in zip(CLASSES, (200, 0), strict=True):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(3):
            pixels = random.integers(level, level + 55, (40, 48, 3), dtype=np.uint8)
            PIL.Image.fromarray(pixels).save(folder / "data" / name / f"{i}.png")
    return folder / "tiny.safetensors"


@pytest.fixture(scope="module")
def seen(classifier: Path) -> Iterator[Seen]:
    """Three runtimes, of which one dies, and one that is not installed; two precisions, two numbers of threads."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    orders: list[tuple[int, str]] = []
    tell = Worker.tell
    doomed: set[int] = set()

    def watched(self: Worker, order: str, **given: Any) -> Any:
        orders.append((self.pid, order))
        if order == "load" and given["cell"].runtime == KILLED:
            doomed.add(self.pid)
        if order == "turn" and self.pid in doomed:
            os.kill(self.pid, signal.SIGKILL)
        return tell(self, order, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "tell", watched)
        patch.setattr(bench_cells, "is_installed", lambda package: package != "MNN")
        out, said = classifier.parent / "out", []
        found = baimu.bench(
            classifier,
            runtimes=("eager", "onnx", KILLED, "mnn"),
            precisions=("fp32", "bf16"),
            batch_sizes=(2,),
            threads=(1, 2),
            data=str(classifier.parent / "data"),
            seconds=0.05,
            out=out,
            report=said.append,
        )
        yield Seen(found, out, orders, said)


def rows_of(found: Bench, runtime: str, precision: str = "fp32") -> list[Row]:
    return [row for row in found.rows if (row.runtime, row.precision) == (runtime, precision)]


def test_every_combination_is_a_row(seen: Seen) -> None:
    cells = [(row.threads, row.runtime, row.precision) for row in seen.found.rows]
    names = ("eager", "onnx", KILLED, "mnn")
    assert cells == [(t, name, p) for t in (1, 2) for name in names for p in ("fp32", "bf16")]
    assert {row.batch_size for row in seen.found.rows} == {2}


def test_what_was_measured_fits_together(seen: Seen) -> None:
    assert {row.name for row in seen.found.measured} == {"eager fp32", "eager bf16", "onnx fp32"}
    for row in seen.found.measured:
        values = (row.ms, row.ms_p90, row.images_per_second, row.end_to_end, row.cpu_ms, row.load_seconds)
        assert all(value is not None and value > 0 for value in values)
        assert row.ms is not None
        assert row.ms_p90 is not None
        assert row.ms <= row.ms_p90
        assert row.calls >= seen.found.turns
        assert row.start_mib is not None
        assert row.peak_mib is not None
        assert 0 < row.start_mib < row.peak_mib
        assert row.device_mib is None


def test_sizes_are_those_of_parameters_and_files(seen: Seen, classifier: Path) -> None:
    model = baimu.load(classifier)
    weights = sum(4 * p.numel() for p in model.parameters()) / 2**20
    assert rows_of(seen.found, "eager")[0].file_mib == pytest.approx(weights, rel=1e-3)
    assert rows_of(seen.found, "onnx")[0].file_mib == (seen.out / "onnx-fp32.onnx").stat().st_size / 2**20


def test_each_process_computes_with_its_number_of_threads(seen: Seen) -> None:
    assert [row.torch_threads for row in rows_of(seen.found, "eager")] == [1, 2]
    for runtime in ("eager", "onnx"):
        one, two = (row.os_threads for row in rows_of(seen.found, runtime))
        assert one is not None
        assert two is not None
        assert one < two


def test_a_process_that_dies_is_a_row_and_the_others_go_on(seen: Seen) -> None:
    assert [row.why for row in rows_of(seen.found, KILLED)] == [
        "its process was killed, as a machine does that is out of memory"
    ] * 2
    assert rows_of(seen.found, KILLED)[0].ms is None
    assert "not measured: folded fp32" in str(seen.found)


def test_what_is_not_installed_or_cannot_be_is_a_row_with_the_mend(seen: Seen) -> None:
    assert rows_of(seen.found, "mnn")[0].why == "MNN not installed: pip install 'baimu[mnn]'"
    assert rows_of(seen.found, "onnx", "bf16")[0].why == "onnx runs in fp32, fp16, int8"


def test_processes_take_turns_and_each_turn_begins_with_the_next(seen: Seen) -> None:
    orders = [order for _, order in seen.orders]
    assert "load" not in orders[orders.index("turn") :]  # all are ready before any is measured
    pids = [pid for pid, order in seen.orders if order == "load"]
    turns = [pid for pid, order in seen.orders if order == "turn"]
    assert len(set(pids)) == len(pids) == 10
    assert turns[:10] == [*pids[1:], pids[0]]
    rest = turns[10:]
    alive = [pid for pid in pids if pid in rest]
    assert len(alive) == len(seen.found.measured) == 6
    rounds = [rest[i : i + 6] for i in range(0, len(rest), 6)]
    assert len(rounds) == seen.found.turns - 1
    assert all(set(one) == set(alive) for one in rounds)
    assert len({one[0] for one in rounds}) > 1


def test_scores_are_those_of_eval_and_compared_with_eager(seen: Seen, classifier: Path) -> None:
    expected = baimu.eval(classifier, str(classifier.parent / "data")).figures()["top1"]
    assert seen.found.metric == "top1"
    assert [row.score for row in rows_of(seen.found, "eager")] == [expected] * 2
    assert [row.score_change for row in rows_of(seen.found, "onnx")] == [0.0] * 2
    assert [order for _, order in seen.orders].count("score") == 3  # not again for other threads


def test_json_says_what_the_rows_say(seen: Seen) -> None:
    written = json.loads((seen.out / "bench.json").read_text())
    assert written == seen.found.to_dict()
    assert written["format"] == 1
    assert written["weights"] == "trained"
    assert written["environment"]["cores"] >= 1
    assert written["environment"]["packages"]["torch"]
    assert [row["why"] == "" for row in written["rows"]] == [row["ms"] is not None for row in written["rows"]]


def test_the_table_has_a_line_a_measured_row(seen: Seen) -> None:
    lines = str(seen.found).splitlines()
    assert lines[0] == "squeezenet1_1 (classification), 8 drawn scenes of 640x480 as 3x32x32; top1 on " + str(
        seen.found.data
    )
    assert lines[2].split()[:6] == ["runtime", "precision", "batch", "threads", "ms", "p90"]
    assert lines[2].split()[-2:] == ["score", "change"]
    assert [line.split()[:2] for line in lines[3 : 3 + len(seen.found.measured)]] == [
        [row.runtime, row.precision] for row in seen.found.measured
    ]
    assert any(line.startswith("onnx fp32: ") and "the same in" in line for line in lines)


def test_the_picture_is_written(seen: Seen) -> None:
    with PIL.Image.open(seen.out / "bench.png") as picture:
        picture.load()
        assert picture.width > picture.height > 600


def runs(pid: int) -> bool:
    """Whether there is such a process, other than one that has ended and that its new parent has not asked about."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_no_process_is_left(seen: Seen) -> None:
    assert runs(os.getpid())
    assert not any(runs(pid) for pid, _ in seen.orders)


def test_a_runtime_that_answers_otherwise_says_so(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        worker = processes.start()
        with pytest.raises(CellFailed, match="there is no such checkpoint"):
            worker.tell(
                "export", source="nothing", path=tmp_path, format="onnx", precision="fp32", images=None, threads=1
            )


def test_plan_knows_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_cells, "is_installed", lambda package: package != "MNN")
    assert {cell.runtime for cell in plan(None, ("fp32",), (1,), (1,))} == {
        "eager", "folded", "onnx", "openvino", "torch", "torchscript"
    }  # fmt: skip
    assert plan(("onnx", "onnx"), ("int8",), (8, 1, 8), (2,)) == [
        Cell("onnx", "int8", 8, 2),
        Cell("onnx", "int8", 1, 2),
    ]
    with pytest.raises(UnknownNameError, match="Did you mean onnx"):
        plan(("onxn",), ("fp32",), (1,), (1,))
    with pytest.raises(UnknownNameError, match="unknown precision 'fp8'"):
        plan(None, ("fp8",), (1,), (1,))
    with pytest.raises(BaimuError, match="batch_sizes=0: give whole numbers of at least 1"):
        plan(None, ("fp32",), (0,), (1,))


def test_int8_needs_images_where_ranges_are_taken_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_cells, "is_installed", lambda package: True)
    assert "give images" in why_not(Cell("onnx", "int8", 1, 1), images=False)
    assert why_not(Cell("onnx", "int8", 1, 1), images=True) == ""
    assert why_not(Cell("mnn", "int8", 1, 1), images=False) == ""


def test_rows_are_compared_with_eager_of_the_same_batch_and_threads() -> None:
    rows = [
        Row("eager", "fp32", 1, 1, ms=8.0, score=0.5),
        Row("onnx", "int8", 1, 1, ms=2.0, score=0.4),
        Row("onnx", "int8", 1, 2, ms=1.0, score=0.4),
        Row("mnn", "fp32", 1, 1, why="not installed"),
    ]
    assert [row.speedup for row in compared(rows)] == [1.0, 4.0, None, None]
    assert [row.score_change for row in compared(rows)] == [0.0, pytest.approx(-0.1), pytest.approx(-0.1), None]


@pytest.mark.parametrize(
    ("size", "expected"), [(64, ("crop", 64, None)), ((64, 96), ("stretch", 64, 96)), (None, ("crop", 224, None))]
)
def test_size_keeps_the_crop_of_a_classifier(size: Any, expected: Sequence[Any]) -> None:
    p = resized(baimu.create_model("squeezenet1_1"), size)
    assert (p.resize, p.size, p.width) == tuple(expected)


def test_size_fits_what_has_no_fixed_shape_into_a_square() -> None:
    detector = baimu.create_model("fcos_r18_fpn", num_classes=2)
    assert resized(detector, 64).resize == "letterbox"
    with pytest.raises(BaimuError, match="multiple of 32 pixels"):
        resized(detector, 65)
