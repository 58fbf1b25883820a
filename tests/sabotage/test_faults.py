"""The table of faults fits the library as it is, and the runner tells an assertion from everything else."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.sabotage.fault import LIBRARY, ROOT, Fault, copy_library
from tests.sabotage.running import preload, run_tests
from tests.sabotage.table import FAULTS
from tests.sabotage.witness import is_asserted


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_applies_once_and_still_compiles(fault: Fault) -> None:
    """And it changes what the file does, not how it is written."""
    source = (LIBRARY / fault.file).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(fault.planted(source))) != ast.dump(ast.parse(source))


def test_names_are_different_and_rooms_are_all_there() -> None:
    names = Counter(fault.name for fault in FAULTS)
    assert max(names.values()) == 1
    assert len(names) >= 60
    rooms = {fault.file.split("/")[0].removesuffix(".py") for fault in FAULTS}
    assert rooms >= {
        "datasets", "preprocess", "targets", "assign", "sample", "losses", "ops", "layers", "backbones", "detection",
        "classification", "semantic_segmentation", "text", "tracking", "training", "weights", "metrics", "inference",
        "results", "masks", "deploy",
    }  # fmt: skip


@pytest.mark.parametrize("test", sorted({test for fault in FAULTS for test in fault.tests}))
def test_the_tests_that_are_named_are_there(test: str) -> None:
    file, _, function = test.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not function or f"def {function.partition('[')[0]}(" in text


def test_a_text_that_is_not_there_or_there_twice_is_refused() -> None:
    fault = Fault("name", "harm", "file.py", "x = 1\n", "x = 2\n", ())
    assert fault.planted("x = 1\n") == "x = 2\n"
    for source in ("x = 3\n", "x = 1\nx = 1\n"):
        with pytest.raises(ValueError, match="write it anew"):
            fault.planted(source)


def test_a_copy_has_the_fault_and_the_rest_as_it_was(tmp_path: Path) -> None:
    fault = FAULTS[0]
    copy_library(tmp_path, fault)
    changed = {
        file.relative_to(LIBRARY).as_posix()
        for file in LIBRARY.rglob("*.py")
        if file.read_bytes() != (tmp_path / "baimu" / file.relative_to(LIBRARY)).read_bytes()
    }
    assert changed == {fault.file}


VERDICTS = {
    "an assertion": ("def test(): assert baimu.__version__ == 'another'", True),
    "an error that was not raised": ("def test():\n    with pytest.raises(OSError): pass", True),
    "a crash": ("def test(): baimu.nothing_of_this_name()", False),
    "a fixture": ("@pytest.fixture\ndef broken(): assert False\ndef test(broken): pass", False),
    "a file that cannot be imported": ("import nothing_of_this_name\ndef test(): assert False", False),
    "an assertion while importing": ("assert False\ndef test(): pass", False),
    "no failure": ("def test(): assert baimu.__version__", False),
    "no test": ("x = 1", False),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_a_fault_is_caught_by_an_assertion_alone(case: str, tmp_path: Path) -> None:
    text, caught = VERDICTS[case]
    file = tmp_path / "test_it.py"
    file.write_text(f"import baimu, pytest\n{text}\n")
    (tmp_path / "copy" / "baimu").mkdir(parents=True)
    (tmp_path / "copy" / "baimu" / "__init__.py").write_text("__version__ = '1'\n")
    preload(["pytest", "hypothesis"])
    outcome = run_tests([str(file)], tmp_path / "copy", limit=300)
    assert bool(outcome.caught) == caught, outcome
    assert (outcome.said == "all tests pass") == (case == "no failure")


def test_several_errors_are_an_assertion_if_all_are() -> None:
    both = ExceptionGroup("two", [AssertionError(), AssertionError()])
    assert is_asserted(both)
    assert not is_asserted(ExceptionGroup("two", [AssertionError(), TypeError()]))


def test_an_unknown_fault_is_told_with_those_there_are() -> None:
    command = [sys.executable, "-m", "tests.sabotage", "--only", "nothing-like-this"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nms-across-classes" in done.stderr
