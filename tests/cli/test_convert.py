"""``baimu convert`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import baimu as library
from baimu.weights.stored import read_stored
from tests.weights.test_config_text import TWO
from tests.weights.test_foreign import openmmlab
from tests.weights.test_routes import same


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return openmmlab("retinanet_r18_fpn", tmp_path / "theirs.pth", {"config": TWO}, num_classes=3)[1]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_there_and_back(baimu, theirs: Path, tmp_path: Path) -> None:
    ours, back = tmp_path / "ours.safetensors", tmp_path / "back.pth"
    done = baimu("convert", theirs, ours, "--classes", "cat, dog,owl")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{theirs} → {ours}\n"
    assert library.load(ours).classes == ("cat", "dog", "owl")
    assert baimu("convert", ours, back, "--to", "openmmlab").exit_code == 0
    assert same(read_stored(back).tensors, read_stored(theirs).tensors)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_not_in_the_file_can_be_said(baimu, theirs: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.safetensors"
    words = ("--as", "retinanet_r18_fpn", "--from", "openmmlab", "--set", "max_detections=7")
    assert baimu("convert", theirs, ours, *words).exit_code == 0
    assert library.load(ours).max_detections == 7


def test_wrong_input_is_one_message(baimu, theirs: Path, tmp_path: Path) -> None:
    done = baimu("convert", theirs, tmp_path / "out.safetensors", "--as", "fcos_r18_fpn")
    assert done.exit_code == 2
    assert "it is not fcos_r18_fpn" in done.stderr
    assert "% of the parameters match" in done.stderr
    done = baimu("convert", theirs, tmp_path / "out.safetensors", "--to", "mmdet")
    assert done.exit_code == 2
    assert "unknown source of weights 'mmdet'" in done.stderr
