"""Predictions: N images give N results in order, in the source's own pixels, and the model stays as it was."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from baimu.errors import CheckpointError, DataError, ImageError, UnknownNameError
from baimu.inference.predictor import Predictor, load_model, predict
from baimu.preprocess import Preprocess
from baimu.results import Unread
from baimu.targets import Batch, Targets
from baimu.zoo import create_model
from tests.layers.test_norm import learned

PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}
BOX = (30, 20, 90, 60)


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(**PLAIN, resize="shortest", size=64, max_size=100, pad_to=32),
        Preprocess(**PLAIN, resize="letterbox", size=128),
        Preprocess(**PLAIN, resize="stretch", size=96),
        Preprocess(**PLAIN, resize="none"),
        Preprocess(**PLAIN, resize="shortest", size=300, max_size=1000),
    ],
    ids=lambda p: f"{p.resize}-{p.size}",
)
@pytest.mark.parametrize(("height", "width"), [(80, 120), (200, 100), (100, 100)])
def test_boxes_come_back_to_the_source(preprocess, height, width, make_finder, picture):
    [found] = predict(make_finder(preprocess), picture(height, width, BOX))
    frame = preprocess.frame(height, width)
    pixel = max(1.0, 1 / frame.scale_x, 1 / frame.scale_y)  # of the input, in the source
    assert found.size == (height, width)
    np.testing.assert_allclose(found.boxes, [BOX], atol=1.5 * pixel)
    assert found.class_names == ["red"]
    assert found.scores.tolist() == pytest.approx([0.8])


def test_n_in_n_out_in_order(finder, picture, tmp_path):
    """Files, arrays, tensors and pictures mixed, one of them without any object, in every batch size."""
    boxes = [(10 * i, 5, 10 * i + 20, 45) for i in range(6)]
    images = [picture(80, 100 + 7 * i, box) for i, box in enumerate(boxes)]
    PIL.Image.fromarray(images[0]).save(tmp_path / "ünï 图.png")
    empty = picture(60, 60, None)
    tensor = torch.from_numpy(images[4]).permute(2, 0, 1)
    sources = [tmp_path / "ünï 图.png", images[1], empty, PIL.Image.fromarray(images[3]), tensor, images[5]]
    for batch_size in (1, 2, 4, 9):
        results = predict(finder, sources, batch_size=batch_size)
        assert [len(r) for r in results] == [1, 1, 0, 1, 1, 1]
        assert [r.source for r in results] == [str(sources[0]), *(f"image {i}" for i in range(1, 6))]
        for i in (0, 1, 3, 4, 5):
            np.testing.assert_allclose(results[i].boxes, [boxes[i]], atol=2)


def test_arrays_keep_their_image_and_files_do_not(finder, picture, tmp_path):
    image = picture(50, 70, BOX)
    PIL.Image.fromarray(image).save(tmp_path / "a.png")
    of_array, of_file = predict(finder, [image, str(tmp_path / "a.png")])
    np.testing.assert_array_equal(of_array.image, image)
    assert of_file.image is None
    np.testing.assert_array_equal(of_file.read(), image)


def test_batches_do_not_change_results(make_finder, picture):
    images = [picture(80, 90 + 20 * (i % 3), (10, 10, 40 + i, 50)) for i in range(7)]
    alone = predict(make_finder(), images)
    for mix_sizes in (True, False):
        together = predict(make_finder(), images, batch_size=3, mix_sizes=mix_sizes)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a.boxes, b.boxes)
            np.testing.assert_array_equal(a.scores, b.scores)


def test_equal_sizes_only_share_a_batch_when_asked(finder, picture):
    """Pictures of two shapes in turn: 3 + 1 mixed; unmixed, a new batch wherever the shape changes."""
    images = [picture(80, width, BOX) for width in (100, 100, 140, 100)]
    predict(finder, images, batch_size=3)
    assert [s[0] for s in finder.shapes] == [3, 1]
    finder.shapes.clear()
    predict(finder, images, batch_size=3, mix_sizes=False)
    assert [s[0] for s in finder.shapes] == [2, 1, 1]


def test_batches_are_padded_to_the_stride(finder, picture):
    predict(finder, [picture(100, 130, None), picture(130, 100, None)], batch_size=2)
    assert finder.shapes == [(2, 3, 128, 128)]


def test_threads_that_read_ahead_change_nothing(finder, picture, tmp_path):
    paths = []
    for i in range(9):
        paths.append(tmp_path / f"{i}.png")
        PIL.Image.fromarray(picture(60, 80 + i, (5 + i, 5, 40, 40))).save(paths[-1])
    alone, ahead = predict(finder, paths, batch_size=2), predict(finder, paths, batch_size=2, workers=3)
    assert [r.source for r in ahead] == list(map(str, paths))
    for a, b in zip(alone, ahead, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)


@pytest.mark.parametrize(("workers", "most"), [(0, 2), (2, 6)])
def test_streaming_reads_no_more_than_it_needs(workers, most, finder, picture):
    read = []

    def frames():
        for i in range(100):
            read.append(i)
            yield picture(40, 40, (5, 5, 20, 20))

    results = predict(finder, frames(), batch_size=2, stream=True, workers=workers)
    assert read == []
    next(iter(results))
    assert len(read) <= most
    results.close()


def test_threads_end_with_an_abandoned_stream(finder, picture):
    import threading

    results = predict(finder, (picture(40, 40, None) for _ in range(50)), stream=True, workers=2)
    next(results)
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("baimu-read")]


def test_an_unreadable_image_stops_with_its_name(finder, picture, tmp_path):
    PIL.Image.fromarray(picture(40, 40, None)).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff no image")
    with pytest.raises(ImageError, match=r"b\.jpg"):
        predict(finder, [tmp_path / "a.png", tmp_path / "b.jpg"])


def test_the_model_is_left_as_it_was(finder, picture):
    """Mode of each module, thresholds; also when the model fails."""
    finder.frozen = torch.nn.Dropout().eval()
    finder.train()
    finder.frozen.eval()
    predict(finder, picture(40, 40, BOX), iou_threshold=0.7, max_detections=2)
    assert finder.seen == [(False, 0.7, 2)]
    assert (finder.training, finder.frozen.training) == (True, False)
    assert (finder.iou_threshold, finder.max_detections) == (0.5, 4)

    def fail(*_):
        raise RuntimeError("out of memory")

    finder.detect = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        predict(finder, picture(40, 40, BOX), max_detections=2)
    assert (finder.training, finder.max_detections) == (True, 4)


def test_a_stream_between_steps_finds_the_model_in_its_own_mode(finder, picture):
    """Between two results of a stream the model is not held in evaluation mode."""
    finder.train()
    results = predict(finder, [picture(40, 40, None)] * 3, stream=True)
    next(results)
    assert finder.training
    list(results)
    assert [training for training, *_ in finder.seen] == [False] * 3


def test_scores_and_classes_are_filtered(finder, picture):
    image = picture(60, 60, (*BOX[:2], 50, 50))
    assert [len(predict(finder, image, score_threshold=t)[0]) for t in (0.05, 0.3, 0.9)] == [2, 1, 0]
    [found] = predict(finder, image, score_threshold=0.05, classes=["other"])
    assert found.class_names == ["other"]
    with pytest.raises(UnknownNameError, match="other"):
        predict(finder, image, classes=["othr"])


def test_a_threshold_below_the_models_own_is_heard(finder, picture):
    """Asking for lower scores lowers the threshold at which the model drops candidates. Asking for higher ones does not
    raise it: it may be on a score before that is weighed with another."""
    finder.score_threshold = 0.05
    heard = []
    detect = finder.detect
    finder.detect = lambda *a: heard.append(finder.score_threshold) or detect(*a)
    for threshold in (0.01, 0.5):
        predict(finder, picture(40, 40, None), score_threshold=threshold)
    assert heard == [0.01, 0.05]
    assert finder.score_threshold == 0.05


def test_one_class(make_finder, picture):
    [found] = predict(make_finder(num_classes=1), picture(60, 60, (10, 10, 50, 50)), score_threshold=0.0)
    assert found.names == ("red",)
    assert found.labels.tolist() == [0, 0]


def test_nothing_in_nothing_out(finder):
    assert predict(finder, []) == []
    assert list(predict(finder, iter([]), stream=True)) == []


def test_predict_batch_uses_frames_and_names(finder, picture):
    """What evaluation calls: a loader's batch in, results in source pixels out, all scores kept, no image held."""
    images = [picture(50, 100, (20, 10, 60, 40)), picture(96, 96, None)]
    pixels = np.zeros((2, 96, 192, 3), np.uint8)
    pixels[0] = np.asarray(PIL.Image.fromarray(images[0]).resize((192, 96), PIL.Image.Resampling.NEAREST))
    pixels[1, :, :96] = images[1]
    frames = [finder.preprocess.frame(*image.shape[:2]) for image in images]
    targets = Targets.collate(
        [torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2, [f.size for f in frames]
    )
    batch = Batch(torch.from_numpy(pixels).permute(0, 3, 1, 2), targets, frames, ["a", "b"])
    first, second = Predictor(finder, score_threshold=None).predict_batch(batch)
    assert (first.source, second.source) == ("a", "b")
    assert first.size == (50, 100)
    assert first.scores.tolist() == pytest.approx([0.8, 0.1])
    np.testing.assert_allclose(first.boxes[0], (20, 10, 60, 40), atol=0.6)
    assert len(second) == 0
    assert first.image is None


def test_a_folded_copy_runs_in_the_models_place(picture, monkeypatch):
    """The same detections but for rounding, from a network without norms; for one image the model itself runs."""
    torch.manual_seed(0)
    model = create_model("fcos_r18_fpn", num_classes=2, scratch=True, width=64, depth=1).train()
    model.preprocess = Preprocess(size=64, max_size=96)
    for i, norm in enumerate(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        learned(norm, seed=i)
    model.score_threshold, images = 0.001, [picture(60, 90, BOX), picture(64, 64, (10, 10, 50, 50))]
    plain, folded = (Predictor(model, score_threshold=None, fold=fold) for fold in (False, True))
    kinds = [{type(m) for m in p.model.modules()} for p in (plain, folded)]
    assert [torch.nn.BatchNorm2d in k for k in kinds] == [True, False]
    for a, b in zip(plain(images), folded(images), strict=True):
        assert len(a) > 5
        np.testing.assert_allclose(np.sort(a.scores), np.sort(b.scores), rtol=1e-4)
    assert model.training

    seen = []
    monkeypatch.setattr("baimu.inference.predictor.fold_norms", lambda m: seen.append(m) or m)
    predict(model, images[0])
    assert seen == []
    predict(model, images)
    assert seen == [model]


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_precision_reaches_the_network(precision, finder, picture):
    kinds = []
    finder.probe = torch.nn.Linear(1, 1)
    detect = finder.detect
    finder.detect = lambda *a: kinds.append(finder.probe(torch.ones(1, 1)).dtype) or detect(*a)
    [found] = predict(finder, picture(60, 60, (10, 10, 50, 50)), precision=precision)
    assert kinds == [torch.bfloat16 if precision == "bf16" else torch.float32]
    assert found.boxes.dtype == np.float32


def test_a_camera_needs_streaming(finder):
    with pytest.raises(DataError, match="stream=True"):
        predict(finder, "rtsp://example.invalid/live")


def test_models_by_name_must_be_trained(monkeypatch, tmp_path):
    monkeypatch.setattr("baimu.zoo.list_models", lambda: ["fcos_r18_fpn"])
    with pytest.raises(CheckpointError, match="baimu train fcos_r18_fpn"):
        load_model("fcos_r18_fpn")
    with pytest.raises(CheckpointError, match=r"absent\.safetensors"):
        load_model(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(("option", "value"), [("batch_size", 0), ("workers", -1)])
def test_wrong_numbers_are_refused_at_once(option, value, finder):
    with pytest.raises(ValueError, match=option):
        predict(finder, [], stream=True, **{option: value})


def test_prediction_and_evaluation_see_the_same_pixels(finder):
    """predict() on a data set's images and the loader's batches give the same boxes to the last bit."""
    from baimu.datasets.loader import eval_batches
    from baimu.datasets.playground import Playground

    scenes = Playground(6, size=80)
    finder.preprocess = finder.preprocess.replace(resize="letterbox", size=64)
    predicted = predict(finder, scenes, score_threshold=0.0, batch_size=3)
    predictor = Predictor(finder, score_threshold=None)
    evaluated = [f for batch in eval_batches(scenes, finder.preprocess, 2) for f in predictor.predict_batch(batch)]
    assert sum(map(len, predicted)) > 0
    for a, b in zip(predicted, evaluated, strict=True):
        assert a.source == b.source
        np.testing.assert_array_equal(a.boxes, b.boxes)


@pytest.mark.parametrize("resize", ["shortest", "none"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 9])
def test_what_cannot_be_read_keeps_its_place(make_finder, picture, tmp_path, resize, workers, batch_size):
    """Broken images first, last, alone in a batch and among others; the others are as without them."""
    finder = make_finder(Preprocess(**PLAIN, resize=resize, size=64))
    sources = [tmp_path / f"{i}.png" for i in range(8)]
    broken = {0, 3, 4, 5, 7}
    for i, path in enumerate(sources):
        if i in broken:
            path.write_bytes(b"no image")
        else:
            PIL.Image.fromarray(picture(60 + i, 100, (10, 10, 30 + i, 40))).save(path)
    found = predict(finder, sources, batch_size=batch_size, workers=workers, on_error="record")
    assert [one.source for one in found] == [str(path) for path in sources]
    assert {i for i, one in enumerate(found) if isinstance(one, Unread)} == broken
    assert all("is damaged or not an image" in found[i].error for i in broken)
    assert all(one.class_names == ["red"] for i, one in enumerate(found) if i not in broken)


def test_on_error_is_one_of_two(finder, picture):
    with pytest.raises(UnknownNameError, match="Did you mean record"):
        predict(finder, picture(60, 60, None), on_error="records")
