"""The proof notices what is wrong with a file, names it, and leaves no file behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import baimu
from baimu.deploy import export as exporting
from baimu.deploy.graph import KINDS
from baimu.deploy.proof import TOLERANCES, Comparison, compare
from baimu.errors import BaimuError
from baimu.masks import Masks
from baimu.results import Classification, Detections, Embedding, Picture, Segmentation
from tests.deploy.models import classifier, detector, embedder, follower, reader, segmenter, translator

Spoil = Callable[[Any], None]


def shifted(model: Any) -> None:
    decode = model.decode

    def decode_beside(*arguments: Any) -> Any:
        found = decode(*arguments)
        return found._replace(boxes=found.boxes + 2 * torch.ones(4))

    model.decode = decode_beside


def surer(model: Any) -> None:
    decode = model.decode

    def decode_surer(*arguments: Any) -> Any:
        found = decode(*arguments)
        return found._replace(scores=found.scores + 0.02)

    model.decode = decode_surer


def swapped(model: Any) -> None:
    model.preprocess = model.preprocess.replace(channel_order="bgr")


def brighter(model: Any) -> None:
    model.preprocess = model.preprocess.replace(mean=tuple(x + 20 for x in model.preprocess.mean))


def torn(model: Any) -> None:
    with torch.no_grad():
        next(p for p in reversed(list(model.parameters())) if p.ndim > 1).mul_(1.5)


CASES: dict[str, tuple[Callable[[], Any], Spoil, str]] = {
    "boxes beside": (detector, shifted, r"scene \d \(\d+x\d+\): \w+ 0\.\d+ at \[.*\] is not found"),
    "scores above": (detector, surer, r"is not found"),
    "blue for red": (detector, swapped, r"is not found|objects for"),
    "another mean": (classifier, brighter, r"scene \d .*: class \d \(of 0\.\d+\) is [\d.]+ for [\d.]+"),
    "blue for red of a classifier": (classifier, swapped, r"class \d"),
    "an embedding": (embedder, swapped, r"scene \d .*: cosine 0\.\d+"),
    "a map": (segmenter, swapped, r"pixels have another class, first at row \d+, column \d+|logits differs"),
    "a picture": (translator, swapped, r"pixel value \d+ is"),
    "a reader": (reader, torn, r"log_probabilities differs|reads"),
    "a follower": (follower, torn, r"response differs from the model's by .* \(1, 3, 127, 127\)"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", CASES)
def test_a_spoilt_graph_fails_by_name_and_leaves_no_file(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, spoil, message = CASES[case]
    fold = exporting.fold_norms

    def fold_and_spoil(model: Any, **options: Any) -> Any:
        folded = fold(model, **options)
        spoil(folded)
        return folded

    monkeypatch.setattr(exporting, "fold_norms", fold_and_spoil)
    model = make()
    fixed = {"size": 64} if model.task == "detection" else {}
    with pytest.raises(BaimuError, match=message):
        baimu.export(model, tmp_path / "it.torchscript", format="torchscript", **fixed)
    assert not list(tmp_path.iterdir())


def test_a_class_of_another_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = exporting.Card
    monkeypatch.setattr(
        exporting, "Card", lambda **values: card(**values | {"classes": ("class 0", "cat", "class 2", "class 3")})
    )
    with pytest.raises(BaimuError, match="class 1 is named 'cat', the model's 'class 1'"):
        baimu.export(classifier(), tmp_path / "it.torchscript", format="torchscript")
    monkeypatch.setattr(exporting, "Card", lambda **values: card(**values | {"classes": ("one",)}))
    with pytest.raises(BaimuError, match="names 1 classes, the model 4"):
        baimu.export(classifier(), tmp_path / "it.torchscript", format="torchscript")
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_there_stays_when_another_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "it.torchscript"
    path.write_bytes(b"before")
    monkeypatch.setattr(exporting, "prove", lambda *_: (_ for _ in ()).throw(BaimuError("no")))
    with pytest.raises(BaimuError, match="no"):
        baimu.export(classifier(), path, format="torchscript")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


FP32 = TOLERANCES["fp32"]
SIZE = (20, 30)


def detections(boxes: Any, scores: Any, labels: Any, masks: Any = None) -> Detections:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    packed = None if masks is None else Masks.of(np.array(masks))
    return Detections(corners, np.array(scores, np.float32), np.array(labels), ("a", "b"), SIZE, "it", packed)


def told(a: Any, b: Any) -> tuple[int, int]:
    found = compare(a, b, FP32)
    assert isinstance(found, Comparison)
    assert bool(found.worst) == (found.same < found.of)
    return found.same, found.of


def test_objects_are_paired_whatever_their_order() -> None:
    a = detections([[0, 0, 10, 10], [5, 5, 20, 20]], [0.9, 0.8], [0, 1])
    assert told(a, a[[1, 0]]) == (2, 2)
    assert told(a, a[:1]) == (1, 2)
    assert told(a[:1], a) == (1, 2)
    assert told(a, detections([[0, 0, 10, 10], [5, 5, 20, 20]], [0.9, 0.8], [0, 0])) == (1, 2)  # another class
    assert told(a, detections([[0, 0, 10, 10], [6, 5, 20, 20]], [0.9, 0.8], [0, 1])) == (1, 2)  # IoU 14/15
    assert told(a, detections([[0, 0, 10, 10], [5, 5, 20, 20]], [0.9, 0.815], [0, 1])) == (1, 2)
    nothing = detections([], [], np.zeros(0, np.int64))
    assert told(nothing, nothing) == (0, 0)
    assert told(a, nothing) == (0, 2)
    assert told(nothing, a) == (0, 2)


def test_one_object_answers_for_one_alone() -> None:
    twice = detections([[0, 0, 10, 10]] * 2, [0.9, 0.9], [0, 0])
    assert told(twice, twice[:1]) == (1, 2)


def test_masks_are_looked_at() -> None:
    mask = np.zeros((1, *SIZE), bool)
    mask[:, :10, :10] = True
    half = mask.copy()
    half[:, 5:] = False
    box = [[0, 0, 10, 10]]
    assert told(detections(box, [0.9], [0], mask), detections(box, [0.9], [0], mask)) == (1, 1)
    assert told(detections(box, [0.9], [0], mask), detections(box, [0.9], [0], half)) == (0, 1)
    assert told(detections(box, [0.9], [0], mask), detections(box, [0.9], [0])) == (0, 1)
    nothing = np.zeros((1, *SIZE), bool)  # of a box too small for a pixel
    assert told(detections(box, [0.9], [0], nothing), detections(box, [0.9], [0], nothing)) == (1, 1)


def test_probabilities_are_measured_by_the_largest() -> None:
    """Of a thousand classes that all have 0.001, an absolute tolerance would prove nothing."""
    flat, other = (np.full(1000, 0.001, np.float32) for _ in range(2))
    other[3] = 0.00103
    names = tuple(map(str, range(1000)))
    assert told(*(Classification(x, names, SIZE, "it") for x in (flat, other))) == (999, 1000)


def test_maps_pictures_and_embeddings() -> None:
    labels = np.zeros(SIZE, np.uint8)
    other = labels.copy()
    other[3, 4] = 1
    maps = [Segmentation(x, ("a", "b"), SIZE, "it") for x in (labels, other)]
    assert told(*maps) == (599, 600)
    assert "first at row 3, column 4: b for a" in compare(*maps, FP32).worst
    made = np.full((4, 4, 3), 100, np.uint8)
    brighter_by = [Picture(made + k, (4, 4), "it", 1, "") for k in (0, 2, 3)]
    assert told(brighter_by[0], brighter_by[1]) == (48, 48)
    assert told(brighter_by[0], brighter_by[2]) == (0, 48)
    vectors = [np.array(v, np.float32) for v in ([1, 0], [1, 0.0001], [0.995, 0.0999])]
    embeddings = [Embedding(v / np.linalg.norm(v), SIZE, source="it") for v in vectors]
    assert told(embeddings[0], embeddings[1]) == (1, 1)
    assert told(embeddings[0], embeddings[2]) == (0, 1)


def test_every_task_of_the_graph_is_one_of_predict() -> None:
    from baimu.inference.tasks import TASKS
    from baimu.runtimes.exported import KINDS as OPENED

    assert set(KINDS) == set(OPENED) == {*TASKS, "tracking"}
