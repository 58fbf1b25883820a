"""Each rule of the house catches what it is there for, and the repository keeps all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import house  # noqa: E402


def broken(root: Path, files: dict[str, str]) -> list[tuple[str, str]]:
    """(rule, subject) of what the checker finds in a tree of these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [(finding.rule, finding.subject) for finding in house.check(root)]


def test_the_repository_keeps_the_rules() -> None:
    assert [str(finding) for finding in house.check(ROOT)] == []


METHOD = "src/baimu/detection/fcos.py"


def lines(count: int, indent: str = "") -> str:
    """As many different lines of code."""
    return "".join(f"{indent}x{i} = {i}\n" for i in range(count))


LONG_FUNCTION = "def build():\n" + lines(70, "    ")
MANY_ARGUMENTS = (
    "class Net:\n    def __init__(self, " + ", ".join(f"a{i}: int" for i in range(15)) + "):\n        pass\n"
)
THREE_BOOLEANS = '@model("a")\ndef a(*, x: bool = True, y: bool = True, z: bool = False):\n    pass\n'
FOUR_CLASSES = "class A: pass\nclass B(A): pass\nclass C(B): pass\nclass D(C): pass\n"
IMPORT_IN_FUNCTION = "def f():\n    from baimu.training.loop import fit\n"


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("src/baimu/ops/boxes.py", lines(301), ("file", "boxes.py")),
        (METHOD, lines(451), ("file", "fcos.py")),
        ("src/baimu/backbones/resnet.py", lines(601), ("file", "resnet.py")),
        (METHOD, LONG_FUNCTION, ("function", "build")),
        (METHOD, MANY_ARGUMENTS, ("arguments", "__init__")),
        (METHOD, THREE_BOOLEANS, ("booleans", "a")),
        (METHOD, FOUR_CLASSES, ("class", "D")),
        ("src/baimu/ops/box_utils.py", "", ("name", "box_utils")),
        ("benchmarks/common/a.py", "", ("name", "common")),
        ("src/baimu/datasets/formats/deep/a.py", "", ("depth", "baimu.datasets.formats.deep.a")),
        ("src/baimu/attic/a.py", "", ("room", "attic")),
        ("src/baimu/ops/nms.py", "from baimu.losses import iou\n", ("imports", "baimu.losses.iou")),
        ("src/baimu/necks/fpn.py", "import baimu.backbones.resnet\n", ("imports", "baimu.backbones.resnet")),
        ("src/baimu/ops/nms.py", "import baimu\n", ("imports", "baimu")),
        ("src/baimu/zoo.py", IMPORT_IN_FUNCTION, ("imports", "baimu.training.loop")),
        ("src/baimu/ops/nms.py", "from .boxes import iou\n", ("imports", ".boxes.iou")),
        ("src/baimu/cli/main.py", "from rich.table import Table\n", ("cheap", "rich.table.Table")),
        ("src/baimu/cli/main.py", "import baimu.zoo\n", ("cheap", "baimu.zoo")),
        ("src/baimu/__init__.py", "import torch\n", ("cheap", "torch")),
        (METHOD, "class A:\n def forward(self, x):\n  return len(x)\n", ("trace", "len(x)")),
        (METHOD, "class A:\n def decode(self, x):\n  return x.max().item()\n", ("trace", "x.max().item()")),
        (METHOD, "class A:\n def decode(self, x):\n  return int(x.max())\n", ("trace", "int(x.max())")),
        (METHOD, "class A:\n def decode(self, x):\n  return x[x > 0]\n", ("trace", "x[x > 0]")),
        (METHOD, "class A:\n def decode(self, x, m):\n  return x[0, ~m]\n", ("trace", "x[0, ~m]")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, text: str, expected: tuple[str, str]) -> None:
    assert broken(tmp_path, {file: text}) == [expected]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (METHOD, lines(450)),
        (METHOD, "def build():\n" + lines(69, "    ")),
        (METHOD, "class A: pass\nclass B(A): pass\nclass C(B): pass\n"),
        (METHOD, "from baimu.detection.retinanet import RetinaNetHead\nfrom baimu.ops.nms import nms\n"),
        ("src/baimu/cli/main.py", "import typer\nfrom baimu.cli import train\ndef f():\n    import torch\n"),
        (METHOD, "class A:\n def losses(self, x):\n  return len(x)\n"),
        (METHOD, "class A:\n def forward(self, x):\n  x[x > 0] = 1\n  return x[:, :3]\n"),
    ],
)
def test_what_is_allowed_is_not_found(tmp_path: Path, file: str, text: str) -> None:
    assert broken(tmp_path, {file: text}) == []


def test_a_base_class_from_another_file_counts(tmp_path: Path) -> None:
    above = "from baimu.detection.fcos import C\nclass D(C): pass\n"
    files = {METHOD: "class A: pass\nclass B(A): pass\nclass C(B): pass\n", "src/baimu/detection/fovea.py": above}
    assert broken(tmp_path, files) == [("class", "D")]


SIX_LINES = "".join(f"{name} = {name} + 1\n" for name in "abcdef")


def test_clones_are_named_once_they_pass_their_share(tmp_path: Path) -> None:
    twice = {"src/baimu/ops/a.py": SIX_LINES, "src/baimu/ops/b.py": "# another comment\n" + SIX_LINES}
    assert broken(tmp_path, twice) == [("clone", "src/baimu/ops/b.py:2")]
    assert broken(tmp_path, {"src/baimu/ops/c.py": lines(250)}) == []


ENTRY = '[[allow]]\nrule = "trace"\nfile = "src/baimu/detection/fcos.py"\nsubject = "len(x)"\n'
FORWARD = "class A:\n def forward(self, x):\n  return len(x)\n"


@pytest.mark.parametrize(
    ("method", "allowed", "expected"),
    [
        (FORWARD, f'ceiling = 1\n{ENTRY}reason = "a list"\n', []),
        (FORWARD, f"ceiling = 1\n{ENTRY}", [("allow", "trace src/baimu/detection/fcos.py len(x)")]),
        ("", f'ceiling = 1\n{ENTRY}reason = "a list"\n', [("allow", "trace src/baimu/detection/fcos.py len(x)")]),
        (FORWARD, f'ceiling = 0\n{ENTRY}reason = "a list"\n', [("allow", "ceiling")]),
        (FORWARD, f'ceiling = 2\n{ENTRY}reason = "a list"\n', [("allow", "ceiling")]),
    ],
    ids=["excused", "no reason", "excuses nothing", "above the ceiling", "ceiling not lowered"],
)
def test_the_allow_list_may_only_shrink(
    tmp_path: Path, method: str, allowed: str, expected: list[tuple[str, str]]
) -> None:
    assert broken(tmp_path, {METHOD: method, "tools/house_allow.toml": allowed}) == expected
