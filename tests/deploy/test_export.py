"""Exported files say what their models say: every task in ONNX, every format for a classifier and a detector."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import baimu
from baimu.deploy.export import PRECISIONS
from baimu.deploy.proof import TOLERANCES
from baimu.errors import BaimuError
from baimu.preprocess import Preprocess, preprocess_from_dict
from baimu.runtimes.session import RUNTIMES
from tests.deploy.models import (
    FREE,
    MODELS,
    classifier,
    detector,
    embedder,
    pyramid,
    query_detector,
    translator,
    two_stage,
)
from tests.deploy.models import with_masks as masked

QUICK = [name for name in RUNTIMES if name != "aotinductor"]


def pictures(*sizes: tuple[int, int]) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [
        draw.integers(0, 256, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        for height, width in sizes
    ]


SEVERAL = pictures((72, 104), (128, 64), (40, 200), (64, 64), (88, 96))


def written(model: Any, folder: Path, format: str = "onnx", **options: Any) -> tuple[Any, str]:
    """The exported model, and what the proof said."""
    said: list[str] = []
    path = baimu.export(model, folder / f"it{RUNTIMES[format].suffix}", format=format, report=said.append, **options)
    return baimu.load(path), said[0]


@pytest.mark.parametrize("name", MODELS)
def test_every_task_is_proven_in_onnx(name: str, tmp_path: Path) -> None:
    fixed = {"size": 64} if name in ("two_stage", "with_masks", "query_detector") else {}  # made in a third of the time
    exported, said = written(MODELS[name](), tmp_path, **fixed)
    assert "differ" in said
    assert [path.name for path in tmp_path.iterdir()] == ["it.onnx"]
    assert exported.task == MODELS[name]().task


@pytest.mark.parametrize("format", [name for name in QUICK if name != "onnx"])
def test_every_format_holds_a_classifier(format: str, tmp_path: Path) -> None:
    model = classifier(FREE.replace(pad_to=1))
    exported, _ = written(model, tmp_path, format)
    for batch_size in (1, 2, 5):
        wanted = model.predict(SEVERAL, batch_size=batch_size)
        for a, b in zip(wanted, exported.predict(SEVERAL, batch_size=batch_size), strict=True):
            np.testing.assert_allclose(b.probabilities, a.probabilities, atol=2e-5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("format", ["openvino", "torch", "torchscript"])  # ONNX is proven above
def test_every_format_but_one_holds_a_detector(format: str, tmp_path: Path) -> None:
    model = detector()
    exported, _ = written(model, tmp_path, format)
    assert exported.card.fixed_size == (None, None)
    wanted, found = (one.predict(SEVERAL, batch_size=5) for one in (model, exported))
    assert sum(map(len, wanted)) > 20
    for a, b in zip(wanted, found, strict=True):
        assert len(a) == len(b)
        np.testing.assert_allclose(np.sort(b.scores), np.sort(a.scores), atol=1e-4)


@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="needs a C++ compiler")
def test_aotinductor_compiles_what_it_is_given(tmp_path: Path) -> None:
    model = classifier()
    exported, _ = written(model, tmp_path, "aotinductor", verify=False)
    for a, b in zip(model.predict(SEVERAL, batch_size=3), exported.predict(SEVERAL, batch_size=2), strict=True):
        np.testing.assert_allclose(b.probabilities, a.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("format", "precision"), [(f, p) for f, several in PRECISIONS.items() if f in QUICK for p in several if p != "fp32"]
)
def test_lower_precisions_are_near(format: str, precision: str, tmp_path: Path) -> None:
    model, limit = classifier(), TOLERANCES[precision].score
    images = pictures(*[(64, 64)] * 12)
    exported, _ = written(model, tmp_path, format, precision=precision, images=images)
    assert exported.card.precision == precision
    gaps = [
        float(np.abs(a.probabilities - b.probabilities).max() / a.probabilities.max())
        for a, b in zip(model.predict(images), exported.predict(images), strict=True)
    ]
    assert 1e-6 < max(gaps) <= limit


def test_a_file_states_the_models_own_preprocessing(tmp_path: Path) -> None:
    """None of its numbers is a default, so that what another program reads of the file can only be the model's."""
    own = Preprocess(
        (1.5, 20.0, 130.0), (3.0, 40.0, 70.0), "bgr", "stretch", 64, 96, 2, 0.5, interpolation="bicubic", width=80
    )
    defaults = Preprocess()
    assert not [f.name for f in fields(Preprocess) if getattr(own, f.name) == getattr(defaults, f.name)]
    exported, _ = written(classifier(own), tmp_path, verify=False)
    assert preprocess_from_dict(exported.card.preprocess) == own


def test_padding_is_nearly_the_models_where_a_graph_is_told_no_sizes(tmp_path: Path) -> None:
    for model in (classifier(FREE), classifier(FREE.replace(channel_order="bgr")), embedder()):
        exported, _ = written(model, tmp_path, verify=False)
        for a, b in zip(model.predict(SEVERAL), exported.predict(SEVERAL), strict=True):
            kinds = [x.vector if model.task == "embedding" else x.probabilities for x in (a, b)]
            np.testing.assert_allclose(kinds[1], kinds[0], atol=0.01)


@pytest.mark.parametrize("format", ["onnx", "openvino", "torchscript", "mnn"])
def test_pyramid_pooling_at_any_size(format: str, tmp_path: Path) -> None:
    assert "tensors differ by at most" in written(pyramid(), tmp_path, format)[1]


def test_eight_bits_are_smaller_and_need_images(tmp_path: Path) -> None:
    model = MODELS["segmenter"]()
    with pytest.raises(BaimuError, match="int8 needs images"):
        baimu.export(model, tmp_path / "it.onnx", precision="int8")
    assert not list(tmp_path.iterdir())


def test_a_detector_in_eight_bits_still_finds_most(tmp_path: Path) -> None:
    for format in ("onnx", "openvino"):
        exported, _ = written(detector(), tmp_path, format, precision="int8", images=SEVERAL, size=64)
        assert sum(map(len, exported.predict(SEVERAL))) > 10


def test_raw_candidates_go_through_the_same_suppression(tmp_path: Path) -> None:
    for number, model in enumerate((detector(), two_stage(), query_detector())):
        folder = tmp_path / str(number)
        exported, _ = written(model, folder, raw=True, size=64)
        assert exported.card.outputs == ("boxes", "scores", "labels")
        model.preprocess = FREE.replace(resize="letterbox")
        for a, b in zip(model.predict(SEVERAL), exported.predict(SEVERAL), strict=True):
            np.testing.assert_allclose(b.boxes, a.boxes, atol=0.01)
        if number == 0:  # what the graph does not hold can be had as one likes
            wanted, found = (sum(map(len, one.predict(SEVERAL, iou_threshold=0.1))) for one in (model, exported))
            assert wanted == found < sum(map(len, exported.predict(SEVERAL)))


def test_raw_masks_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    exported, _ = written(masked(), tmp_path, raw=True, size=64)
    assert exported.needs_masks is False
    assert exported.predict(SEVERAL[:1], score_threshold=0.05)[0].masks is None


def test_raw_needs_a_suppression_that_is_known(tmp_path: Path) -> None:
    def own(*_: Any) -> Any: ...

    with pytest.raises(BaimuError, match="export the model without raw"):
        baimu.export(detector(nms=own), tmp_path / "it.onnx", raw=True)


@pytest.mark.parametrize("name", ["detector", "query_detector", "reader"])
def test_mnn_holds_what_it_has_no_operators_for(name: str, tmp_path: Path) -> None:
    """NaN and infinity asked for by what it knows, LSTMs."""
    assert "largest difference" in written(MODELS[name](), tmp_path, "mnn")[1]


def test_mnn_takes_a_detector_raw(tmp_path: Path) -> None:
    model = detector()
    exported, _ = written(model, tmp_path, "mnn", raw=True, size=64)
    model.preprocess = FREE.replace(resize="letterbox")
    for a, b in zip(model.predict(SEVERAL), exported.predict(SEVERAL), strict=True):
        assert abs(len(a) - len(b)) <= 1


def test_a_side_fits_images_into_a_square_and_two_stretch_them(tmp_path: Path) -> None:
    model = classifier(FREE)
    exported, _ = written(model, tmp_path, size=64)
    assert (exported.preprocess.resize, exported.card.fixed_size) == ("letterbox", (64, 64))
    exported, _ = written(model, tmp_path, size=(64, 96))
    assert (exported.preprocess.resize, exported.card.fixed_size) == ("stretch", (64, 96))
    assert model.preprocess == FREE  # as it was
    with pytest.raises(BaimuError, match=r"takes images of 64x96 pixels .* got 64x64"):
        exported(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(BaimuError, match="multiple of 32"):
        baimu.export(model, tmp_path / "other.onnx", size=65)


def test_of_two_domains_the_file_makes_one(tmp_path: Path) -> None:
    model = translator()
    model.classes = ("horse", "zebra")
    exported, _ = written(model, tmp_path, to="horse")
    wanted, found = model.predict(SEVERAL[:1], to="horse")[0], exported.predict(SEVERAL[:1])[0]
    assert found.kind == "horse"
    assert np.abs(wanted.made.astype(int) - found.made).max() <= 2
    with pytest.raises(BaimuError, match="export the model again with to=zebra"):
        exported.predict(SEVERAL[:1], to="zebra")


Wrong = tuple[Callable[[], Any], dict[str, Any], str]
WRONG: dict[str, Wrong] = {
    "format": (classifier, {"format": "onxx"}, "onnx"),
    "precision": (classifier, {"format": "torchscript", "precision": "int8"}, "torchscript is written in"),
    "option": (classifier, {"raw": True}, "option of exporting classification"),
    "suffix": (classifier, {"path": "it.pt"}, "ends with .onnx"),
    "size of texts": (MODELS["teller"], {"size": 64}, "not for text_classification"),
    "domain": (lambda: titled(translator()), {"to": "zebro"}, "zebra"),
    "no task": (lambda: torch.nn.Linear(1, 1), {}, "give one of baimu's"),
    "window": (lambda: windowed(), {}, "export the model without window"),
}


def titled(model: Any) -> Any:
    model.classes = ("horse", "zebra")
    return model


def windowed() -> Any:
    model = MODELS["segmenter"]()
    model.window = (32, 32)
    return model


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_with_its_mend(case: str, tmp_path: Path) -> None:
    make, options, message = WRONG[case]
    with pytest.raises(BaimuError, match=message):
        baimu.export(make(), **{"path": tmp_path / "it.onnx", **options})
    assert not list(tmp_path.iterdir())


def test_what_is_exported_is_not_exported_again_nor_trained(tmp_path: Path) -> None:
    exported, _ = written(embedder(), tmp_path, verify=False)
    with pytest.raises(BaimuError, match="is exported already"):
        baimu.export(exported, tmp_path / "other.onnx")
    with pytest.raises(BaimuError, match="cannot be trained"):
        exported.train()


@pytest.mark.usefixtures("unchecked")
def test_a_detector_that_finds_nothing_proves_nothing(tmp_path: Path) -> None:
    model = detector()
    model.score_threshold = 1.0
    with pytest.raises(BaimuError, match="nothing is proven"):
        baimu.export(model, tmp_path / "it.torchscript", format="torchscript", size=64)
    assert not list(tmp_path.iterdir())


def test_the_licence_of_the_weights_goes_with_the_file(tmp_path: Path) -> None:
    model = classifier()
    model.licence = "BSD-3-Clause"  # as baimu.load remembers of published weights
    assert written(model, tmp_path, verify=False)[0].card.licence == "BSD-3-Clause"
    assert written(model, tmp_path, verify=False, licence="MIT")[0].card.licence == "MIT"
