"""``import baimu``, ``baimu --help`` and ``baimu models`` load nothing heavy; every public name can be reached."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import baimu

HEAVY = {"torch", "torchvision", "numpy", "scipy", "matplotlib", "PIL", "accelerate", "huggingface_hub", "fastapi"}


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after a fresh interpreter ran ``code``."""
    code += "\nimport sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def command(words: str) -> str:
    return f"from baimu.cli.main import app\ntry: app({words.split()!r})\nexcept SystemExit as end: assert not end.code"


@pytest.mark.parametrize(
    "code",
    ["import baimu", command("--version"), command("--help"), command("models"), command("models fcos*")]
    + [
        command(f"{verb} --help")
        for verb in ("demo", "train", "eval", "predict", "explain", "models", "data", "env", "serve")
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    loaded = loaded_by(code)
    assert "baimu" in loaded
    assert not loaded & HEAVY


def test_the_probe_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_by("import baimu; baimu.Detections")


@pytest.mark.parametrize("name", baimu.__all__)
def test_every_public_name_can_be_reached(name: str) -> None:
    assert getattr(baimu, name) is not None
    assert name in dir(baimu)


def test_type_checkers_see_the_public_names() -> None:
    """The lazy table and the imports under TYPE_CHECKING name the same things from the same modules."""
    tree = ast.parse(Path(baimu.__file__).read_text(encoding="utf-8"))
    (guarded,) = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    seen = {alias.name: n.module for n in guarded.body if isinstance(n, ast.ImportFrom) for alias in n.names}
    assert seen == baimu._HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        baimu.trian  # noqa: B018
