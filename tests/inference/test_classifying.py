"""Classifiers in the predictor: the same sources, batches and order as detectors, and images of one size in a batch."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor, nn

from baimu.errors import BaimuError, UnknownNameError
from baimu.inference.predictor import Predictor, predict
from baimu.inference.saving import save_predictions
from baimu.preprocess import Preprocess
from baimu.targets import Batch, ClassTargets
from baimu.zoo import create_model
from tests.layers.test_norm import learned

PLAIN = {"mean": (0, 0, 0), "std": (255, 255, 255)}


class ColourNamer(nn.Module):
    """A classifier of pictures by their mean colour, whose answer can be said beforehand."""

    task = "classification"
    multi_label = False
    classes = ("red", "green", "blue")

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.shapes: list[tuple[int, ...]] = []

    def classify(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        mean = images.mean((2, 3))
        return mean / mean.sum(1, keepdim=True)


def plain(red: int, green: int, blue: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.full((height, width, 3), (red, green, blue), np.uint8)


@pytest.fixture
def namer() -> ColourNamer:
    return ColourNamer(Preprocess(**PLAIN, resize="crop", size=32, pad_to=1))


def test_n_in_n_out_in_order(namer, tmp_path):
    """Files, arrays, tensors and pictures of all sizes, in every batch size and with threads."""
    images = [plain(100 + i, 50, 50 - i, 40 + 7 * i, 60) for i in range(6)]
    PIL.Image.fromarray(images[0]).save(tmp_path / "a.png")
    tensor = torch.from_numpy(images[4]).permute(2, 0, 1)
    sources = [tmp_path / "a.png", *images[1:3], PIL.Image.fromarray(images[3]), tensor, images[5]]
    for options in ({}, {"batch_size": 4}, {"batch_size": 9, "workers": 2}):
        results = predict(namer, sources, **options)
        assert [r.source for r in results] == [str(sources[0]), *(f"image {i}" for i in range(1, 6))]
        assert [r.size for r in results] == [image.shape[:2] for image in images]
        expected = np.stack([image[0, 0] / image[0, 0].sum() for image in images])
        np.testing.assert_allclose([r.probabilities for r in results], expected, atol=1e-3)
        assert [r.name for r in results] == ["red"] * 6
    assert results[0].image is None
    np.testing.assert_array_equal(results[0].read(), images[0])
    np.testing.assert_array_equal(results[1].image, images[1])


def test_a_crop_looks_at_the_middle(namer):
    image = plain(0, 255, 0, 64, 200)
    image[:, 80:120] = (255, 0, 0)
    namer.preprocess = namer.preprocess.replace(size=32, crop_share=1.0)
    [found] = predict(namer, image)
    assert found.name == "red"
    assert found.probabilities[0] == pytest.approx(40 / 64, abs=0.02)


@pytest.mark.parametrize("resize", ["crop", "stretch"])
def test_one_size_fills_batches(namer, resize):
    namer.preprocess = namer.preprocess.replace(resize=resize)
    predict(namer, [plain(1, 2, 3, 30 + i, 50) for i in range(5)], batch_size=4)
    assert namer.shapes == [(4, 3, 32, 32), (1, 3, 32, 32)]


def test_no_padding_is_ever_seen(namer):
    """Where sizes differ, batches part: a mean over padding would be another colour."""
    namer.preprocess = namer.preprocess.replace(resize="none")
    images = [plain(90, 90, 90, 30, 50), plain(90, 90, 90, 30, 50), plain(90, 90, 90, 50, 30)]
    results = predict(namer, images, batch_size=3, mix_sizes=True)
    assert namer.shapes == [(2, 3, 30, 50), (1, 3, 50, 30)]
    np.testing.assert_allclose([r.probabilities for r in results], 1 / 3, atol=1e-6)


def test_options_say_what_is_told(namer):
    [found] = predict(namer, plain(100, 80, 20), top=2, score_threshold=0.45)
    assert [guess.name for guess in found.best] == ["red"]
    assert len(found.probabilities) == 3
    with pytest.raises(UnknownNameError, match=r"unknown option of classification 'max_detections'\. Known: score"):
        predict(namer, plain(1, 1, 1), max_detections=5)


def test_a_batch_of_the_data_room_needs_no_sizes(namer):
    """The loader's batches of a classification have none: all of their pixels are valid."""
    images = torch.from_numpy(np.stack([plain(200, 0, 0), plain(0, 200, 0)])).permute(0, 3, 1, 2)
    frames = [namer.preprocess.frame(40, 60)] * 2
    batch = Batch(images, ClassTargets(torch.eye(2, 3)), frames, ["a", "b"])
    first, second = Predictor(namer).predict_batch(batch)
    assert (first.source, first.name, second.source, second.name) == ("a", "red", "b", "green")


def test_several_labels_are_judged_one_by_one():
    model = create_model("resnet18", num_classes=3, small_images=True, multi_label=True)
    model.preprocess = model.preprocess.replace(size=32)
    nn.init.constant_(model.head.linear.bias, 4.0)
    nn.init.zeros_(model.head.linear.weight)
    [found] = predict(model, plain(9, 9, 9))
    assert found.multi_label
    np.testing.assert_allclose(found.probabilities, torch.tensor(4.0).sigmoid().item(), rtol=1e-6)


def test_a_real_classifier_is_folded_streamed_and_left_as_it_was():
    """A network without norms computes the same; mode, probabilities of autograd and parameters stay."""
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=4, small_images=True).train()
    model.preprocess = model.preprocess.replace(size=32)
    for i, norm in enumerate(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        learned(norm, seed=i)
    images = [np.random.default_rng(i).integers(0, 255, (40, 50, 3)).astype(np.uint8) for i in range(3)]
    plain_, folded = (Predictor(model, fold=fold) for fold in (False, True))
    assert [any(isinstance(m, nn.BatchNorm2d) for m in p.model.modules()) for p in (plain_, folded)] == [True, False]
    for a, b in zip(plain_(images), folded(images, batch_size=2), strict=True):
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)
    with torch.no_grad():
        pixels = torch.from_numpy(
            np.asarray(PIL.Image.fromarray(images[0]).resize((45, 36), PIL.Image.BILINEAR)).copy()
        )
        middle = pixels[2:34, 6:38].permute(2, 0, 1)[None]
        direct = model.eval().classify(model.preprocess.normalize(middle))[0]
    model.train()
    [first] = model.predict(images[0])
    np.testing.assert_allclose(first.probabilities, direct.numpy(), atol=1e-5)
    assert model.training


def test_pictures_and_records_are_saved(namer, tmp_path):
    for name, colour in (("a", (200, 10, 10)), ("b", (10, 10, 200))):
        PIL.Image.fromarray(plain(*colour, 300, 400)).save(tmp_path / f"{name}.png")
    heard = []
    written = save_predictions(
        namer, [str(tmp_path / "*.png")], tmp_path / "out", report=lambda found, path: heard.append(found.to_dict())
    )
    assert [path.name for path in written] == ["a.png", "b.png"]
    assert [PIL.Image.open(path).size for path in written] == [(400, 300)] * 2
    assert [row["classes"][0]["name"] for row in json.loads(json.dumps(heard))] == ["red", "blue"]


def test_a_model_of_no_task_is_refused():
    with pytest.raises(BaimuError, match="Linear: not a model of detection or classification"):
        predict(nn.Linear(1, 1), plain(1, 1, 1))
