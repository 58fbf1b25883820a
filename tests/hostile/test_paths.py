"""The whole collection through everything that reads images: N in, N out, in order, and no process dies."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import baimu
from baimu.datasets.class_batches import eval_class_batches, train_class_batches
from baimu.datasets.images import SUFFIXES, image_size
from baimu.datasets.open import open_data
from baimu.deploy.calibrating import calibration_inputs
from baimu.errors import DataError, ImageError
from baimu.inference.sources import open_images
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from baimu.results import Unread
from tests.hostile.case import Case
from tests.hostile.cases import light_cases, write
from tests.inference.conftest import RedFinder

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged metadata

Written = list[tuple[Case, Path]]
SMALL = Preprocess(resize="letterbox", size=32, pad_to=32)
SQUARE = Preprocess(resize="crop", size=32, pad_to=32)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def in_folder(collection: Written) -> Written:
    """Those that a folder is known to hold, by their suffix, in the order of their paths."""
    held = [pair for pair in collection if pair[1].suffix.lower() in SUFFIXES and not pair[1].is_dir()]
    held = [pair for pair in held if not pair[1].name.startswith(".")]
    return sorted(held, key=lambda pair: pair[1])


def wrong_of(case: Case, path: Path, size: tuple[int, int], error: str | None) -> str:
    """What is wrong with a result: of this size, or an error in its place."""
    if error is not None:
        if case.outcome == "right":
            return f"{case.name}: refused: {error}"
        return "" if error.startswith(f"{path}: ") else f"{case.name}: the file is not named: {error}"
    if case.outcome == "refused":
        return f"{case.name}: was read"
    known = case.outcome != "any" and case.pixels is not None
    return f"{case.name}: {size}" if known and size != case.pixels.shape[:2] else ""  # type: ignore[union-attr]


@pytest.mark.parametrize("workers", [0, 2])
def test_predict_on_a_folder(in_folder: Written, workers: int) -> None:
    folder = in_folder[0][1].parent
    how: dict[str, Any] = {"batch_size": 16, "workers": workers, "on_error": "record"}
    results = baimu.predict(RedFinder(SMALL), folder, **how)
    assert isinstance(results, list)
    assert [found.source for found in results] == [str(path) for _, path in in_folder]
    pairs = zip(in_folder, results, strict=True)
    told = [wrong_of(*pair, r.size, r.error if isinstance(r, Unread) else None) for pair, r in pairs]
    assert [line for line in told if line] == []


def test_predict_stops_at_the_first_that_cannot_be_read(in_folder: Written) -> None:
    good = [path for case, path in in_folder if case.outcome == "right"][:9]
    for case, bad in [pair for pair in in_folder if pair[0].outcome == "refused" and pair[1].is_file()][::9]:
        given = [*good[:5], bad, *good[5:]]
        seen: list[str] = []
        with pytest.raises(ImageError) as caught:
            seen.extend(found.source for found in baimu.predict(RedFinder(SMALL), given, stream=True))
        assert str(caught.value).startswith(f"{bad}: "), case.name
        assert seen == [str(path) for path in good[:5]]


def opened(case: Case, path: Path, read: Callable[[], np.ndarray]) -> str:
    said = case.judge(path, read)
    return f"{case.name} {said}" if said else ""


def test_training_and_evaluation_of_a_classifier(in_folder: Written, tmp_path: Path) -> None:
    """What has no readable header is left out and told of by name; each of the others is right, or an error."""
    for position, (_, path) in enumerate(in_folder):
        own = tmp_path / "ab"[position % 2] / path.name
        own.parent.mkdir(exist_ok=True)
        own.symlink_to(path)
    source: Any = open_data(tmp_path, kind="classification", val=tmp_path).train
    kept = {source.name(i): i for i in range(len(source))}
    told = {problem.file for problem in source.problems}
    good, wrong = [], []
    for position, (case, path) in enumerate(in_folder):
        own = str(tmp_path / "ab"[position % 2] / path.name)
        assert (own in kept) != (own in told), case.name
        if own in told:
            wrong += [case.name] * (case.outcome == "right")
            continue
        index = kept[own]
        wrong.append(opened(case, Path(own), lambda index=index: source.image(index)))
        if case.outcome == "right":
            good.append(index)
        elif case.outcome == "refused":
            with pytest.raises(ImageError) as caught:
                next(iter(eval_class_batches(source.select([index]), SQUARE, 4)))
            assert str(caught.value).startswith(f"{own}: ")
    assert [line for line in wrong if line] == []
    good.sort()
    chosen = source.select(good)
    names = [name for batch in eval_class_batches(chosen, SQUARE, 16) for name in batch.names]
    assert names == [source.name(i) for i in good]
    recipe = Recipe(epochs=1, batch_size=1, workers=0)
    seen = [name for batch in train_class_batches(chosen, SQUARE, recipe, epoch=0) for name in batch.names]
    assert sorted(seen) == sorted(names)


def test_training_of_a_detector(in_folder: Written) -> None:
    """Every image of a COCO file is there or told of by name."""
    folder = in_folder[0][1].parent
    images, by_name = [], {}
    for number, (case, path) in enumerate(in_folder):
        height, width = 10, 10
        with contextlib.suppress(ImageError):
            height, width = image_size(path)
        images.append({"id": number, "file_name": path.name, "height": height, "width": width})
        by_name[str(path)] = case
    box = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    data = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "thing"}]}
    file = folder / "annotations.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    source: Any = open_data(file, val=file).train
    kept = [source.name(i) for i in range(len(source))]
    told = {problem.record for problem in source.problems}
    left_out = {number for number, path in enumerate(by_name) if path not in kept}
    assert kept == [path for number, path in enumerate(by_name) if number not in left_out]
    assert {f"image {number}" for number in left_out} <= told
    assert 0 < len(left_out) < 20  # names that would leave the folder on another system, and what is no file
    wrong = [opened(by_name[path], Path(path), lambda i=i: source.image(i)) for i, path in enumerate(kept)]
    assert [line for line in wrong if line] == []


def test_calibration_of_an_export(collection: Written) -> None:
    """In order and complete; what cannot be read is an error that names it, never a range that lacks it."""
    model = RedFinder(SMALL)
    good = [(case, path) for case, path in collection if case.outcome == "right"]
    items = [open_images(path).items[0] for _, path in good]  # type: ignore[index]
    inputs = list(calibration_inputs(model, items))
    assert len(inputs) == len(good)
    for (case, _), (image, sizes) in zip(good, inputs, strict=True):
        height, width = case.pixels.shape[:2]  # type: ignore[union-attr]
        assert tuple(sizes[0].tolist()) == SMALL.frame(height, width).size, case.name
        assert bool(image.isfinite().all())
    for case, path in [pair for pair in collection if pair[0].outcome == "refused"]:
        with pytest.raises(DataError) as caught:
            list(calibration_inputs(model, list(open_images([path]).items)))
        assert str(caught.value).startswith(f"{path}: "), case.name


def test_the_server(collection: Written) -> None:
    """Every file as a request: a result of the right size, or an error of ours; and the good ones in one request."""
    pytest.importorskip("fastapi", reason="needs the extra serve")
    from tests.deploy.serving.client import FORM, ask, multipart

    with baimu.serve(RedFinder(SMALL), port=0, block=False, threads=1) as server:
        wrong, sixteen = [], []
        for case, path in collection:
            if not path.is_file():
                continue
            data = path.read_bytes()
            answer = ask(server.url, "/predict", data)
            if answer.status == 200:
                result = answer.json["results"][0]
                wrong.append(wrong_of(case, path, (result["height"], result["width"]), None))
                if case.outcome == "right" and len(sixteen) < 16:
                    sixteen.append((data, result["height"], result["width"]))
            else:
                refused = answer.status in (400, 413, 415, 422) and answer.code
                wrong += [f"{case.name}: {answer}"] * (case.outcome == "right" or not refused)
        assert [line for line in wrong if line] == []
        answer = ask(server.url, "/predict", multipart(*(data for data, _, _ in sixteen)), **FORM)
        sizes = [(result["height"], result["width"]) for result in answer.json["results"]]
        assert sizes == [(height, width) for _, height, width in sixteen]
        assert ask(server.url, "/health").json == {"status": "ok"}


def test_nothing_of_the_collection_is_passed_over(collection: Written, in_folder: Written) -> None:
    """The paths above see nearly all of it."""
    assert len(collection) == len(light_cases())
    assert len(in_folder) > len(collection) - 10
