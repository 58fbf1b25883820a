"""The pictures of a classification run: every file of the folder, for one label an image and for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from baimu.datasets.source import Problem, Splits
from baimu.draw.colours import class_colour
from baimu.metrics.classification import Mistake, score
from baimu.targets import Batch, ClassTargets
from baimu.training.class_pictures import class_batch_sheet, draw_class_data, draw_class_results, mistake_sheet

NAMES = ("cat", "dog", "owl", "tit", "eel", "ant")


@dataclass
class Flat:
    """Pictures of one colour, the image's number times ten, with these marks each."""

    marks: list[list[int]]
    multi_label: bool = False
    classes: tuple[str, ...] = NAMES
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.marks)

    def name(self, index: int) -> str:
        return f"{index}.png"

    def image_id(self, index: int) -> int:
        return index

    def size(self, index: int) -> tuple[int, int]:
        return 30, 20 + index

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return np.full((*self.size(index), 3), 10 * index, np.uint8)

    def labels(self, index: int) -> np.ndarray:
        return np.array(self.marks[index], np.int64)

    def unknown(self, index: int) -> np.ndarray:
        return np.zeros(0, np.int64)

    def select(self, indices: Sequence[int]) -> Flat:
        return replace(self, marks=[self.marks[i] for i in indices])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    settings = {"model": "resnet18", "data": "my_photos", "recipe": {"lr": 0.1}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "results.csv").write_text("epoch,step,class,loss,lr,top1,seconds\n1,5,0.7,0.7,0.1,0.5,3.0\n")
    return tmp_path


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("right", [False, True])
def test_a_folder_has_all_its_pictures_and_a_page(folder: Path, multi_label: bool, right: bool) -> None:
    marks = (
        [[i % 6] for i in range(12)] if not multi_label else [[i % 6, (i + 1) % 6] if i % 3 else [] for i in range(12)]
    )
    val = Flat(marks, multi_label)
    splits = Splits(Flat(marks, multi_label), val)
    shares = np.zeros((12, 6), np.float32)
    for i, own in enumerate(marks):
        shares[i, own] = 1
    p = shares if right else (1 - shares) / (1 if multi_label else 5)
    images = torch.zeros(12, 3, 28, 28, dtype=torch.uint8)
    batch = Batch(images, ClassTargets(torch.from_numpy(shares)), [], [str(i) for i in range(12)])
    draw_class_data(folder, splits, batch)
    draw_class_results(folder, splits, nn.Linear(2, 3), score(p, shares, NAMES, multi_label))
    expected = {"labels", "train_batches", "curves", "classes", "reliability"}
    expected |= {"pr_curves" if multi_label else "confusion_matrix"} | (set() if right else {"mistakes"})
    assert {path.stem for path in folder.glob("*.png")} == expected
    page = (folder / "report.html").read_text()
    assert page.count("<img") == len(expected)
    assert "No such file" not in page
    for text in ("resnet18", "my_photos", "12 train, 12 held out", "cat", "mean ap" if multi_label else "top1"):
        assert text in page
    assert "ant" in (folder / "data.txt").read_text()
    assert (folder / "problems.txt").read_text() == ""


def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stands above the pictures of the next sheet."""
    written: list[str] = []
    monkeypatch.setattr("baimu.draw.sheet._write", lambda pen, title, *_: written.append(title))
    return written


def test_a_batch_tells_shares_only_where_images_were_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = titles(monkeypatch)
    rows = [[1, 0, 0], [0.3, 0.7, 0], [0.95, 0.025, 0.025], [1, 0, 1], [0, 0, 0], [-1, 1, -1]]
    images = torch.zeros(len(rows), 3, 28, 28, dtype=torch.uint8)
    page = class_batch_sheet(Batch(images, ClassTargets(torch.tensor(rows)), [], []), NAMES)
    assert written == ["cat", "dog 0.70, cat 0.30", "cat", "cat, owl", "no label", "dog"]
    assert min(page.size) > 240, "small images are enlarged"


def test_mistakes_show_the_image_what_it_is_and_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    written = titles(monkeypatch)
    said = [Mistake(3, 0, 1, 0.9), Mistake(9, 2, -1, 0.1), Mistake(5, -1, 4, 0.8)]
    page = np.array(mistake_sheet(Flat([[i % 6] for i in range(12)]), said))
    assert written == ["cat", "owl", "not eel"]
    for grey, label in ((30, 1), (90, 2), (50, 4)):
        assert (page == grey).all(2).any()
        assert (page == class_colour(label)).all(2).any()


def test_a_very_small_picture_of_a_mistake_can_be_read() -> None:
    page = mistake_sheet(Flat([[0]]), [Mistake(0, 0, 1, 0.9)])
    assert isinstance(page, Image.Image)
    assert page.height > 260
