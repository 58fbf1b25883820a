"""What fuzzing found in the readers of annotations, each by itself: answered in words that name the file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from baimu.cli.settings import parse_settings
from baimu.datasets.formats.csv_list import read_csv
from baimu.datasets.formats.mot import open_sequence
from baimu.datasets.formats.yolo import find_yolo
from baimu.datasets.images import walk_images
from baimu.datasets.map_code import read_pixels
from baimu.datasets.outlines import read_outline
from baimu.errors import BaimuError, DataError
from tests.hostile.case import noise
from tests.hostile.written import END, PNG, chunk, png, png_header


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name=one\n", "no section headers"),
        ("[Sequence]\nname=a\nname=b\n", "already exists"),
        ("[Sequence]\nframeRate=fast\n", "fast"),
        ("[Sequence]\nimDir=../../etc\n", "leaves the folder"),
        ("[Sequence]\nimDir=/etc\n", "leaves the folder"),
    ],
)
def test_a_seqinfo_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "seqinfo.ini").write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        open_sequence(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'seqinfo.ini'}: ")


def test_a_polygon_whose_boundary_would_fill_the_memory() -> None:
    for far in (1e6, 1e9, 1e30):
        with pytest.raises(ValueError, match="boundary of more than"):
            read_outline([[0, 0, far, 0, far, far]], (24, 40))
    assert len(read_outline([[0, 0, 400, 0, 400, 240]], (24, 40))) == 1  # outside, but no bomb


def test_names_that_no_file_system_takes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(noise()))
    (tmp_path / "list.csv").write_text(f"image,label\na.png,cat\n{'x' * 5000}.png,dog\n")
    source = read_csv(tmp_path / "list.csv")
    assert len(source) == 1
    assert "is not there" in str(source.problems[0])
    (tmp_path / "data.yaml").write_text(f"train: {'x' * 5000}\nnames: [cat]\n")
    with pytest.raises(DataError, match=r"data\.yaml: train: .* is not there"):
        find_yolo(tmp_path / "data.yaml")["train"]()


def test_yaml_that_is_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("[" * 20_000)
    with pytest.raises(DataError, match=r"data\.yaml: cannot be read as YAML"):
        find_yolo(tmp_path / "data.yaml")
    with pytest.raises(BaimuError, match="lr="):
        parse_settings(["lr=" + "[" * 20_000])


def test_a_link_in_a_circle_costs_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(noise()))
    (tmp_path / "b.png").symlink_to("b.png")
    (tmp_path / "c").symlink_to("c")
    assert list(walk_images(tmp_path)) == [str(tmp_path / name) for name in ("a.png", "b.png")]


@pytest.mark.parametrize("colours", [False, True])
def test_label_maps_have_the_bounds_of_images(tmp_path: Path, colours: bool) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(PNG + png_header(60_000, 60_000) + chunk(b"IDAT", b"") + END)
    drawing = tmp_path / "drawing.png"
    drawing.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    os.mkfifo(tmp_path / "pipe.png")
    for name, said in (("bomb", "has more than"), ("drawing", "not an image"), ("pipe", "not a regular file")):
        with pytest.raises(DataError, match=rf"{name}\.png: cannot be read as a label map \(.*{said}"):
            read_pixels(str(tmp_path / f"{name}.png"), colours=colours)
    np.testing.assert_array_equal(
        read_pixels(_written(tmp_path / "good.png", png(noise()[..., :1], colour=0)), colours=False), noise()[..., 0]
    )


def _written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)
