"""``baimu bench`` hands its words to the function and prints what that measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import baimu as library
from baimu.deploy.bench_results import Bench, Row


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the function was called with."""
    seen: dict[str, Any] = {}

    def bench(model: str, **options: Any) -> Bench:
        seen.update(options, model=model)
        rows = (Row("eager", "fp32", 1, 1, ms=2.5), Row("mnn", "fp32", 1, 1, why="MNN not installed"))
        environment = {"processor": "a processor", "cores": 2, "devices": ()}
        facts: dict[str, Any] = {
            "device": "cpu",
            "input": (1, 3, 8, 8),
            "images": "1 image",
            "seconds": 1.0,
            "turns": 5,
        }
        facts |= {"metric": None, "data": None, "rows": rows, "environment": environment, "load_average": (0.0, 0.0)}
        return Bench("tiny", "classification", "random", **facts)

    monkeypatch.setattr(library, "bench", bench, raising=False)
    return seen


def test_lists_and_sizes_are_read(baimu, given: dict[str, Any], tmp_path: Path) -> None:
    words = ["--runtimes", "eager, mnn", "--precisions", "fp32,int8", "--batch-sizes", "1,8", "--threads", "2"]
    done = baimu("bench", "tiny", *words, "--size", "64x96", "--seconds", "0.5", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert given["runtimes"] == ["eager", "mnn"]
    assert given["precisions"] == ["fp32", "int8"]
    assert (given["batch_sizes"], given["threads"], given["size"]) == ([1, 8], [2], (64, 96))
    assert (given["model"], given["seconds"], given["out"]) == ("tiny", 0.5, tmp_path)


def test_the_table_is_printed(baimu, given: dict[str, Any]) -> None:
    lines = baimu("bench", "tiny").stdout.splitlines()
    assert lines[0] == "tiny (classification, random weights), 1 image as 3x8x8"
    assert lines[3].split() == ["eager", "fp32", "1", "1", "2.50"]
    assert lines[4] == "not measured: mnn fp32, batch 1, threads 1: MNN not installed"
    assert given["runtimes"] is None


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--size", "64xx", "neither a side nor HEIGHTxWIDTH"), ("--threads", "two", "not a list of whole numbers")],
)
def test_what_is_no_number_is_told(baimu, option: str, value: str, said: str) -> None:
    done = baimu("bench", "tiny", option, value)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())


def test_help_has_an_example(baimu) -> None:
    assert "Example: baimu bench" in baimu("bench", "--help").stdout
