"""The wheel is the same bytes from two folders, and holds the package and nothing beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_project import ROOT

pytest.importorskip("hatchling", reason="needs hatchling, the backend that builds the package")

PARTS = ("src", "tools", "pyproject.toml", "README.md", "LICENSE", ".gitignore")


def built(source: Path, folder: Path) -> Path:
    """From a copy of what the wheel is made of, in an environment that says nothing."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copy
            )
        else:
            shutil.copy(ROOT / part, source / part)
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    environment["SOURCE_DATE_EPOCH"] = "1700000000"
    command = [sys.executable, "tools/wheel.py", str(folder)]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    """From copies of other names, times and modes."""
    wheels = []
    for name in ("one", "another/place"):
        source = tmp_path / name
        source.mkdir(parents=True)
        wheels.append(built(source, tmp_path / f"{name}-wheel"))
    assert wheels[0].name == wheels[1].name
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    held = zipfile.ZipFile(wheels[0])
    names = held.namelist()
    own = {
        f"baimu/{p.relative_to(ROOT / 'src/baimu').as_posix()}" for p in (ROOT / "src/baimu").rglob("*") if p.is_file()
    }
    assert {n for n in names if n.startswith("baimu/")} == {n for n in own if "__pycache__" not in n}
    rest = {name.partition("/")[2] for name in names if not name.startswith("baimu/")}
    assert rest == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert {entry.date_time[0] for entry in held.infolist()} == {2023}
