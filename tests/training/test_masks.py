"""A model that needs masks gets them, is scored by them, and says what is missing where the data has none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import baimu
from baimu.detection.fcos import FCOS
from baimu.errors import DataError
from baimu.metrics.scores import FIGURES, figure_names
from baimu.ops.nms import Detected
from baimu.targets import Targets
from baimu.training.run import Run
from baimu.zoo import model
from tests.datasets.files import coco_json, write_coco
from tests.training.small import CLASSES, QUICK, SMALL, small_data, small_fcos


class MaskedFCOS(FCOS):
    """FCOS that answers each box with the same 4 x 4 cells, which learn how much of a box its object covers."""

    needs_masks = True

    def __init__(self, whole: FCOS) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(whole.__dict__)
        self.cells = nn.Parameter(torch.zeros(4, 4))

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        assert targets.masks is not None
        for masks, valid in zip(targets.masks, targets.valid, strict=True):
            assert masks.shape == (int(valid.sum()), *images.shape[2:])
        covered = torch.tensor([m.float().mean() for masks in targets.masks for m in masks] or [0.0]).mean()
        return super().losses(images, targets) | {"mask": (self.cells - covered).square().mean()}

    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detected:
        found = super().detect(images, sizes)
        return found._replace(masks=(self.cells + 0.6).expand(*found.labels.shape, 4, 4))


@model("small_masks", task="instance_segmentation", paper="1904.01355", recipe=SMALL)
def small_masks(num_classes: int = 3, *, scratch: bool = False) -> MaskedFCOS:
    """With masks of sorts."""
    return MaskedFCOS(small_fcos(num_classes))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return baimu.train("small_masks", small_data(), out=tmp_path_factory.mktemp("runs") / "masks", **QUICK)


def test_the_run_tells_of_masks(run: Run) -> None:
    assert tuple(name for name in run.history[-1] if name in figure_names(masks=True)) == figure_names(masks=True)
    assert run.scores["mask_ar_100"] > 0
    assert (run.folder / "mask_pr_curves.png").exists()
    page = run.report.read_text()
    assert page.count("<img ") == 7
    assert "mask AP50" in page
    assert str(run).splitlines()[0].split("  ")[1].startswith("mask_ap ")


def test_eval_scores_the_same_masks(run: Run) -> None:
    scores = baimu.eval(run.folder, small_data(), batch_size=2)
    assert scores.figures() == pytest.approx(run.scores, abs=1e-6, nan_ok=True)
    assert "mask AP" in str(scores)


def test_data_without_outlines_is_refused_for_training_and_scores_boxes_alone(run: Run, tmp_path: Path) -> None:
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [5, 5, 20, 20]} for i in (1, 2)]
    categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES)]
    file = write_coco(tmp_path, {**coco_json(boxes), "categories": categories})
    with pytest.raises(DataError, match=r"no object has an outline.*segmentation"):
        baimu.train("small_masks", file, out=tmp_path / "run", **QUICK)
    assert tuple(baimu.eval(run.folder, file).figures()) == FIGURES


def test_outlines_of_files_are_opened_by_themselves(tmp_path: Path) -> None:
    triangle = [[5, 5, 25, 5, 5, 25]]
    objects = [
        {"id": i, "image_id": i, "category_id": c, "bbox": [5, 5, 20, 20], "segmentation": triangle}
        for i, c in ((1, 7), (2, 3))
    ]
    run = baimu.train("small_masks", write_coco(tmp_path, coco_json(objects)), out=tmp_path / "run", **QUICK)
    assert run.history[-1]["mask"] >= 0
    assert "mask_ap" in run.scores


def test_a_model_of_boxes_is_given_no_masks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[bool] = []
    real = FCOS.losses

    def losses(self: FCOS, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        seen.append(targets.masks is None)
        return real(self, images, targets)

    monkeypatch.setattr(FCOS, "losses", losses)
    run = baimu.train("small_fcos", small_data(), out=tmp_path / "run", **{**QUICK, "epochs": 1})
    assert seen
    assert all(seen)
    assert not (run.folder / "mask_pr_curves.png").exists()
