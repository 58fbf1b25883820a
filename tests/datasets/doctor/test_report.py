"""The report: its page, its JSON, its exit status; legal oddities that are no fault; the contact sheet."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import baimu
from baimu.datasets.doctor.hashing import alike
from baimu.datasets.doctor.rules import RULES, SEVERITIES, TABLE, THEMES
from baimu.errors import DataError, UnknownNameError
from tests.cli.conftest import baimu as command  # noqa: F401
from tests.datasets.doctor.faults import FAULTS
from tests.datasets.doctor.sets import MAKERS, put

ROOT = Path(__file__).resolve().parents[3]


def spoil(root: Path, *names: str) -> Path:
    base = names[0].partition("-")[0]
    MAKERS[base](root)
    for slot, name in enumerate(names):
        next(f for f in FAULTS if f.id == name).plant(root, slot)
    return root


def test_codes_are_unique_and_each_says_what_to_do() -> None:
    assert sum(map(len, TABLE)) == len(RULES) >= 60
    for code, rule in RULES.items():
        assert re.fullmatch(r"[A-Z]\d{3}", code)
        assert code[0] in THEMES
        assert rule.severity in SEVERITIES
        assert rule.title
        assert rule.mend.endswith((".", "…"))


def test_readers_give_codes_that_exist() -> None:
    used = set()
    for file in (ROOT / "src" / "baimu" / "datasets").rglob("*.py"):
        if file.name != "rules.py":
            used |= set(re.findall(r'"([FIBAMCSTX][12]\d\d)"', file.read_text(encoding="utf-8")))
    assert used == set(RULES)


def test_the_page_of_rules_is_complete() -> None:
    page = (ROOT / "docs" / "data_rules.md").read_text(encoding="utf-8")
    for rule in RULES.values():
        assert f"| `{rule.code}` |" in page
        assert rule.title in page


def test_report_as_json_and_text(tmp_path: Path) -> None:
    report = baimu.check_data(str(spoil(tmp_path, "coco-box_zero_width", "coco-area_zero", "coco-box_whole")))
    told = json.loads(json.dumps(report.to_dict()))
    assert told["severities"] == {"error": 1, "warning": 1, "note": 1}
    assert list(told["counts"]) == ["B102", "B113", "B115"]
    first = told["findings"][0]
    assert (first["code"], first["record"], first["severity"]) == ("B102", "annotation 1", "error")
    assert first["box"] == [5, 5, 5, 14]
    assert "1 error, 1 warning, 1 note" in report.head()
    assert "B102 error: box without area (1)" in str(report)
    assert [report.status(word) for word in SEVERITIES] == [1, 1, 1]


def test_status_asks_for_what_is_bad_enough(tmp_path: Path) -> None:
    report = baimu.check_data(str(spoil(tmp_path / "a", "coco-area_zero")))
    assert [report.status(word) for word in SEVERITIES] == [0, 1, 1]
    report = baimu.check_data(str(spoil(tmp_path / "b", "coco-broken_json")))
    assert not report.readable
    assert report.status() == 2


def test_page_stands_alone_and_escapes(tmp_path: Path) -> None:
    names = ("coco-box_nan", "coco-box_right_of_image", "coco-image_missing", "coco-box_twice", "coco-size_wrong")
    root = spoil(tmp_path / "set", *names)
    file = root / "annotations" / "instances_train.json"
    file.write_text(file.read_text().replace('"cat"', '"<script>alert(1)</script>"'))
    page = baimu.check_data(str(root)).save_html(tmp_path / "check.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:image/jpeg|#)", page)
    assert page.count('<img src="data:image/jpeg;base64,') >= 3
    for code in ("B101", "B103", "B107", "I101", "I107"):
        assert f'id="{code}"' in page


def test_legal_oddities_are_clean(tmp_path: Path) -> None:
    """Empty images, boxes of one pixel, crowds, names of any kind, turned, grey and 16-bit images, one class."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, shape, np.uint8)

    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(noise(40, 60, 3)).save(folder / "百目 – naïve.jpg", exif=exif)
    Image.fromarray(noise(40, 60)).save(folder / "grey.png")
    Image.fromarray(rng.integers(0, 65536, (40, 60)).astype(np.uint16)).save(folder / "deep.png")
    Image.fromarray(noise(40, 60, 4)).save(folder / "alpha.png")
    sizes = {"百目 – naïve.jpg": (40, 60), "grey.png": (60, 40), "deep.png": (60, 40), "alpha.png": (60, 40)}
    images = [{"id": i, "file_name": n, "width": w, "height": h} for i, (n, (w, h)) in enumerate(sizes.items())]
    runs = {"size": [40, 60], "counts": [100, 50, 2250]}
    rows = [
        {"id": 0, "image_id": 0, "category_id": 5, "bbox": [10, 10, 1, 1], "area": 1, "iscrowd": 0},
        {"id": 7, "image_id": 1, "category_id": 5, "bbox": [2, 0, 2, 40], "area": 50, "iscrowd": 1},
        {"id": 9, "image_id": 1, "category_id": 5, "bbox": [2, 0, 2, 40], "area": 50, "iscrowd": 0},
        {"id": 8, "image_id": 2, "category_id": 5, "bbox": [0.25, 0.5, 20.125, 30], "area": 600.0, "iscrowd": 0},
    ]
    for row in rows:
        x, y, w, h = row["bbox"]
        row["segmentation"] = runs if row["iscrowd"] else [[x, y, x + w, y, x + w, y + h, x, y + h]]
    categories = [{"id": 5, "name": "größe 1/2", "supercategory": "x"}]
    data = {"images": images, "annotations": rows, "categories": categories}
    put(tmp_path / "annotations.json", json.dumps(data, ensure_ascii=False))
    assert baimu.check_data(str(tmp_path), deep=True).findings == ()


def test_like_pictures_are_found_without_comparing_all() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 3000, dtype=np.uint64)
    small = rng.integers(0, 256, (3000, 256)).astype(np.uint8)
    pairs = {(i, i + 1500) for i in range(200)}
    for i, j in pairs:
        flips = rng.choice(63, rng.integers(0, 7), replace=False)
        hashes[j] = hashes[i] ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64), initial=np.uint64(0))
        small[j] = np.clip(small[i].astype(int) + 3, 0, 255)
    assert set(alike(hashes, small)) == pairs


@pytest.mark.parametrize("name", ["coco_masks", "folders", "maps", "mot", "lines", "csv_flags"])
def test_contact_sheets(tmp_path: Path, name: str) -> None:
    root = MAKERS[name](tmp_path)
    sheet = baimu.view_data(str(root), count=6, cell=64)
    assert min(sheet.size) >= 64
    assert np.asarray(sheet).std() > 10
    assert baimu.view_data(str(root), count=2, cell=64).size < sheet.size or name == "mot"


def test_contact_sheet_of_a_class(tmp_path: Path) -> None:
    root = MAKERS["folders"](tmp_path)
    every, cats = (baimu.view_data(str(root), split="train", count=99, classes=c, cell=32) for c in (None, ["cat"]))
    assert np.prod(cats.size) < np.prod(every.size)
    with pytest.raises(UnknownNameError, match="unknown class"):
        baimu.view_data(str(root), classes=["cats"])
    with pytest.raises(UnknownNameError, match="unknown split"):
        baimu.view_data(str(root), split="tets")
    with pytest.raises(DataError, match="holds texts"):
        baimu.view_data(str(MAKERS["tsv"](tmp_path / "texts")))


def test_contact_sheet_of_a_damaged_image(tmp_path: Path) -> None:
    root = MAKERS["coco"](tmp_path)
    (root / "images" / "train" / "0.jpg").write_bytes(b"no image")
    assert (np.asarray(baimu.view_data(str(root), count=4, cell=64)) == (203, 208, 216)).all(-1).sum() == 64 * 48


def test_command_line(tmp_path: Path, command) -> None:  # noqa: F811
    clean, broken = MAKERS["yolo"](tmp_path / "clean"), spoil(tmp_path / "broken", "yolo-line_pixels")
    assert command("data", clean).stdout == command("data", "summary", clean).stdout == f"{baimu.data(str(clean))}\n"
    done = command("data", "check", clean)
    assert (done.exit_code, "no problems found" in done.stdout) == (0, True)
    page, out = tmp_path / "check.html", tmp_path / "mended"
    done = command("data", "check", broken, "--html", page, "--fix", out, "--deep")
    assert done.exit_code == 1
    assert "B111 error" in done.stdout
    assert page.is_file()
    assert command("data", "check", out).exit_code == 0
    done = command("data", "check", broken, "--json")
    assert json.loads(done.stdout)["counts"] == {"B111": 1}
    (broken / "data.yaml").write_text("names: [")
    assert command("data", "check", broken).exit_code == 2
    assert command("data", "check", tmp_path / "nowhere").exit_code == 2
    assert command("data", "check", clean, "--fail-on", "eror").exit_code == 2
    done = command("data", "convert", clean, tmp_path / "coco", "--to", "coco")
    assert (done.exit_code, "train 10" in done.stdout) == (0, True)
    done = command("data", "view", clean, "--out", tmp_path / "sheet.png", "--classes", "cat", "--cell", 64)
    assert done.exit_code == 0
    assert Image.open(tmp_path / "sheet.png").width > 64
