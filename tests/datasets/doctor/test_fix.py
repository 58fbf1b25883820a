"""``--fix``: the copy is clean, the source is as it was to the byte, and nothing good is lost."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import baimu
from baimu.datasets.doctor.files import image_names
from baimu.datasets.doctor.rules import RULES
from baimu.datasets.open import splits
from baimu.errors import DataError
from tests.datasets.doctor.faults import FAULTS, Fault
from tests.datasets.doctor.sets import MAKERS

WRITTEN = [f for f in FAULTS if f.readable and f.base not in ("sequences",) and f.name != "image_pipe"]


def state(root: Path) -> dict[str, tuple[str, int]]:
    """Content and time of change of every file."""
    return {
        str(file.relative_to(root)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(root.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize("fault", WRITTEN, ids=lambda f: f.id)
def test_the_copy_has_nothing_left_to_mend(tmp_path: Path, fault: Fault) -> None:
    root, out = tmp_path / "source", tmp_path / "mended"
    MAKERS[fault.base](root)
    fault.plant(root, 1)
    before = state(root)
    fixed = baimu.fix_data(str(root), out, deep=fault.deep)
    assert state(root) == before
    after = baimu.check_data(str(out), deep=fault.deep)
    assert after.readable
    mendable = [finding for finding in after.findings if finding.rule.fix]
    assert not mendable, "\n".join(map(str, mendable))
    left = {finding.code for finding in fixed.left}
    assert {f.code for f in after.findings if f.severity == "error"} <= left  # only what a person must do
    assert left == {f.code for f in fixed.before.findings if not RULES[f.code].fix}


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "sequences"])
def test_a_clean_set_is_copied_whole(tmp_path: Path, name: str) -> None:
    root, out = MAKERS[name](tmp_path / "source"), tmp_path / "copy"
    fixed = baimu.fix_data(str(root), out)
    assert fixed.left == ()
    one, other = splits(str(root)), splits(str(out))
    assert {k: len(v) for k, v in one.items()} == {k: len(v) for k, v in other.items()}
    pictures = [
        sorted(hashlib.sha256(Path(n).read_bytes()).hexdigest() for part in parts.values() for n in image_names(part))
        for parts in (one, other)
    ]
    assert pictures[0] == pictures[1]


def test_one_bad_box_costs_one_box(tmp_path: Path) -> None:
    root, out = MAKERS["coco"](tmp_path / "source"), tmp_path / "mended"
    fault = next(f for f in FAULTS if f.id == "coco-box_zero_width")
    fault.plant(root, 2)
    clean = splits(str(MAKERS["coco"](tmp_path / "clean")))["train"]
    baimu.fix_data(str(root), out)
    mended = splits(str(out))["train"]
    for index in range(len(clean)):
        expected = clean.objects(index).boxes[1 if index == 2 else 0 :]
        np.testing.assert_array_equal(mended.objects(index).boxes, expected)


def test_a_mended_coco_file_keeps_what_it_says_besides(tmp_path: Path) -> None:
    root, out = MAKERS["coco"](tmp_path / "source"), tmp_path / "mended"
    file = root / "annotations" / "instances_train.json"
    data = json.loads(file.read_text())
    data["licenses"] = [{"id": 1, "name": "CC0"}]
    data["images"][0]["license"] = 1
    data["annotations"][4]["attributes"] = {"occluded": True}
    data["annotations"][4]["bbox"] = [20.123456789, 6, 14, 20]
    file.write_text(json.dumps(data))
    baimu.fix_data(str(root), out)
    mended = json.loads((out / "annotations" / "instances_train.json").read_text())
    assert mended["licenses"] == data["licenses"]
    assert mended["info"] == data["info"]
    assert mended["images"] == data["images"]
    assert mended["annotations"] == data["annotations"]


@pytest.mark.parametrize("place", ["inside", "around", "full"])
def test_the_source_is_never_written_to(tmp_path: Path, place: str) -> None:
    root = MAKERS["yolo"](tmp_path / "source")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    out = {"inside": root / "mended", "around": tmp_path, "full": tmp_path / "full"}[place]
    before = state(root)
    with pytest.raises(DataError, match=r"name a (new )?folder"):
        baimu.fix_data(str(root), out)
    assert state(root) == before
    assert (tmp_path / "full" / "file").read_text() == "mine"


def test_what_cannot_be_read_cannot_be_mended(tmp_path: Path) -> None:
    root = MAKERS["coco"](tmp_path / "source")
    (root / "annotations" / "instances_val.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        baimu.fix_data(str(root), tmp_path / "mended")
    assert not (tmp_path / "mended").exists()


def test_a_shared_image_stays_where_it_is_measured(tmp_path: Path) -> None:
    root, out = MAKERS["yolo_lists"](tmp_path / "source"), tmp_path / "mended"
    next(f for f in FAULTS if f.name == "list_shares").plant(root, 3)
    baimu.fix_data(str(root), out)
    parts = splits(str(out))
    assert (len(parts["train"]), len(parts["val"])) == (9, 6)
