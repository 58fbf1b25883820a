"""What a server answers is what ``baimu.predict`` says, whoever asks at the same time, and in which form."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import baimu
from baimu.deploy.optimizing import optimize
from baimu.deploy.serving import models
from baimu.errors import BaimuError
from baimu.preprocess import Preprocess
from baimu.zoo import create_model
from tests.deploy.serving.client import FORM, ask, encoded, figure, multipart
from tests.inference.test_classifying import PLAIN, ColourNamer

BOX = (10, 10, 60, 50)


def as_sent(found: Any) -> Any:
    """A result as JSON carries it."""
    return json.loads(json.dumps(found.to_dict()))


@pytest.fixture(scope="module")
def classifier() -> Any:
    """A real network, small."""
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=5).eval()
    model.preprocess = Preprocess(resize="crop", size=64)
    return model


def noise(seed: int, *size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def odd_files() -> list[bytes]:
    """JPEG, turned by EXIF, CMYK, 16 bit, palette, transparent, WebP."""
    picture = PIL.Image.fromarray(noise(0, 60, 90))
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    deep = PIL.Image.fromarray((np.arange(60 * 90, dtype=np.uint16) * 12).reshape(60, 90))
    veiled = picture.convert("RGBA")
    veiled.putalpha(120)
    made = []
    for image, form, options in (
        (picture, "JPEG", {"quality": 80}),
        (picture, "JPEG", {"exif": turned}),
        (picture.convert("CMYK"), "JPEG", {}),
        (deep, "PNG", {}),
        (picture.convert("P"), "PNG", {}),
        (veiled, "PNG", {}),
        (picture, "WEBP", {"lossless": True}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        made.append(buffer.getvalue())
    return made


def test_an_answer_is_the_offline_result(start, make_finder, picture) -> None:
    server = start({"red": make_finder()})
    image = encoded(picture(80, 120, BOX))
    [offline] = baimu.predict(make_finder(), image)
    for path in ("/predict", "/models/red/predict"):
        answer = ask(server.url, path, image)
        assert answer.status == 200
        assert answer.json == {"model": "red", "version": 1, "results": [as_sent(offline)]}


def test_files_of_every_kind_are_decoded_as_offline(start) -> None:
    namer, files = ColourNamer(Preprocess(**PLAIN, resize="none")), odd_files()
    server = start(namer)
    expected = [as_sent(found) for found in baimu.predict(namer, files)]
    assert ask(server.url, "/predict", multipart(*files), **FORM).json["results"] == expected
    assert len({json.dumps(row["classes"]) for row in expected}) > 3


def test_concurrent_requests_of_all_kinds_get_their_own_answers(start, make_finder, picture) -> None:
    """32 clients at once, images of five sizes, three sets of options, one or two files: each as offline alone."""
    server = start({"red": make_finder()}, max_batch=6)

    def one(i: int) -> tuple[Any, Any]:
        files = [
            encoded(picture(80, 90 + 10 * (i % 5), (5 + i + j, 10, 50 + i % 7, 60)), ("PNG", "BMP")[i % 2])
            for j in range(1 + i % 2)
        ]
        options: dict[str, Any] = [{}, {"score_threshold": 0.05}, {"classes": "red,other"}][i % 3]
        query = "&".join(f"{key}={value}" for key, value in options.items())
        answer = ask(server.url, f"/predict?{query}", multipart(*files), **FORM)
        if "classes" in options:
            options = {"classes": ["red", "other"]}
        return answer.json["results"], [as_sent(r) for r in baimu.predict(make_finder(), files, **options)]

    with ThreadPoolExecutor(32) as pool:
        for served, offline in pool.map(one, range(96)):
            assert served == offline


def test_a_real_network_in_batches_answers_as_offline(start, classifier) -> None:
    """Sums of a batch are rounded otherwise than those of one image: the same classes, scores to float32's digits."""
    server = start(classifier, max_batch=8)
    files = [encoded(noise(i, 50 + i, 70), "BMP") for i in range(40)]
    offline = baimu.predict(classifier, files)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda file: ask(server.url, "/predict", file).json["results"][0], files))
    for served, found in zip(answers, offline, strict=True):
        expected = as_sent(found)["classes"]
        assert [c["name"] for c in served["classes"]] == [c["name"] for c in expected]
        np.testing.assert_allclose(
            [c["score"] for c in served["classes"]], [c["score"] for c in expected], rtol=2e-6, atol=0
        )
    images, batches = figure(server.url, "baimu_batch_images_sum"), figure(server.url, "baimu_batch_images_count")
    assert images == 40
    assert batches <= 20


def test_images_of_other_sizes_share_a_batch_only_where_told(start, make_finder, picture) -> None:
    files = [encoded(picture(80, width, BOX)) for width in (100, 140)] * 4
    for mix_sizes, fewest in ((False, 2), (True, 1)):
        finder = make_finder()
        server = start(finder, mix_sizes=mix_sizes, window=0.2)
        ask(server.url, "/predict", multipart(*files), **FORM)
        seen = [shape for shape in finder.shapes[1:] if shape[0] > 0]  # the first was the trial
        assert sum(shape[0] for shape in seen) == 8
        assert len(seen) == fewest


def test_pictures(start, make_finder, picture) -> None:
    server = start(make_finder())
    image = picture(80, 120, BOX)
    [offline] = baimu.predict(make_finder(), encoded(image))
    png = ask(server.url, "/predict", encoded(image), Accept="image/png")
    assert (png.status, png.headers["content-type"]) == (200, "image/png")
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(io.BytesIO(png.body))), np.asarray(offline.draw()))
    jpeg = ask(server.url, "/predict", encoded(image), Accept="text/html, image/jpeg, */*;q=0.1")
    assert PIL.Image.open(io.BytesIO(jpeg.body)).format == "JPEG"
    beside = ask(server.url, "/predict?picture=png", encoded(image)).json["results"][0]
    assert beside.pop("picture").startswith("data:image/png;base64,iVBOR")
    assert beside == as_sent(offline)
    two = ask(server.url, "/predict", multipart(encoded(image), encoded(image)), **FORM, Accept="image/png")
    assert (two.status, two.code) == (406, "one_picture")
    other = ask(server.url, "/predict", encoded(image), Accept="video/mp4")
    assert (other.status, other.code) == (406, "not_acceptable")


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("score_treshold=0.2", "unknown_option", "Did you mean score_threshold?"),
        ("score_threshold=high", "wrong_option", "score_threshold: input should be a valid number"),
        ("score_threshold=nan", "wrong_option", "finite"),
        ("score_threshold=0.1&score_threshold=0.2", "wrong_option", "score_threshold"),
        ("classes=rad", "wrong_option", "Did you mean red?"),
        ("max_detections=1000000000", "closed_option", "max_detections"),
        ("picture=gif", "wrong_option", "png or jpeg"),
    ],
)
def test_options_are_checked(start, make_finder, picture, query: str, code: str, words: str) -> None:
    answer = ask(start(make_finder()).url, f"/predict?{query}", encoded(picture(40, 40, None)))
    assert (answer.status, answer.code) == (422, code)
    assert words in answer.json["error"]["message"]


def test_the_operator_sets_and_opens_options(start, make_finder, picture) -> None:
    image = encoded(picture(80, 120, BOX))
    server = start(make_finder(), score_threshold="0.05", allow=["max_detections"])
    [model] = ask(server.url, "/models").json["models"]
    assert {o["name"]: o["default"] for o in model["options"]}["score_threshold"] == 0.05
    count = {
        query: len(ask(server.url, f"/predict?{query}", image).json["results"][0]["objects"])
        for query in ("", "score_threshold=0.3", "max_detections=3")
    }
    assert count == {"": 2, "score_threshold=0.3": 1, "max_detections=3": 2}


def test_what_names_a_file_is_never_open() -> None:
    from baimu.deploy.serving.options import Options
    from baimu.inference.reading import ReadingLines

    options = Options("text_recognition", ReadingLines, own={"lexicon": "words.txt"})
    assert options.open == ["language_weight"]
    assert dict(options.parse([("language_weight", "0.25")])) == {"lexicon": "words.txt", "language_weight": 0.25}
    with pytest.raises(BaimuError, match="lexicon: names a file"):
        Options("text_recognition", ReadingLines, allow=["lexicon"])
    with pytest.raises(BaimuError, match="Did you mean beam"):
        Options("text_recognition", ReadingLines, allow=["baem"])


def test_several_models_each_by_its_name(start, make_finder, picture) -> None:
    server = start([make_finder(), ColourNamer(Preprocess(**PLAIN, resize="none"))])
    image = encoded(picture(80, 120, BOX))
    listed = ask(server.url, "/models").json
    assert (listed["default"], [m["name"] for m in listed["models"]]) == ("redfinder", ["redfinder", "colournamer"])
    assert "classes" in ask(server.url, "/models/colournamer/predict?top=1", image).json["results"][0]
    missing = ask(server.url, "/models/colournamr/predict", image)
    assert (missing.status, missing.code) == (404, "unknown_model")
    assert "colournamer" in missing.json["error"]["message"]


def test_texts(start) -> None:
    torch.manual_seed(0)
    model = create_model("textcnn", num_classes=2).eval()
    server = start(model)
    text = "Free entry in a weekly competition"
    answer = ask(server.url, "/predict", text.encode(), Content_Type="text/plain").json["results"][0]
    [offline] = baimu.predict(model, text)
    assert answer == as_sent(offline)
    named = ask(server.url, "/predict", b"/etc/passwd").json["results"][0]  # a text, not a file
    assert named["text"] == "/etc/passwd"
    assert ask(server.url, "/predict", encoded(noise(0, 9, 9))).code == "not_text"
    assert ask(server.url, "/predict", b"a", Accept="image/png").code == "not_acceptable"


def test_an_exported_file_serves_like_its_model(start, classifier, tmp_path) -> None:
    path = tmp_path / "net.torchscript"
    baimu.export(classifier, path, format="torchscript")
    server = start(str(path))
    files = [encoded(noise(i, 50 + i, 70), "BMP") for i in range(4)]
    answers = ask(server.url, "/models/net/predict", multipart(*files), **FORM).json["results"]
    for served, found in zip(answers, baimu.predict(baimu.load(path), files), strict=True):
        assert [c["name"] for c in served["classes"]] == [guess.name for guess in found.best]
        np.testing.assert_allclose(
            [c["score"] for c in served["classes"]], [guess.score for guess in found.best], rtol=2e-6, atol=0
        )


def test_names_are_found_and_must_differ(tmp_path) -> None:
    from baimu.deploy.serving.registry import names_of

    run = tmp_path / "my run"
    run.mkdir()
    (run / "best.safetensors").touch()
    (tmp_path / "net.onnx").touch()
    given = [f"cells={run}", str(run), str(tmp_path / "net.onnx"), "fcos_r50_fpn.coco"]
    assert list(names_of(given)) == ["cells", "my-run", "net", "fcos_r50_fpn.coco"]
    assert names_of([str(run / "best.safetensors")]) == {"my-run": str(run / "best.safetensors")}
    with pytest.raises(BaimuError, match="NAME=MODEL"):
        names_of(["a/x", "b/a-x", "a-x", "a/x"])


def test_the_fastest_way_to_run_a_model_answers_the_same(
    start: Any, classifier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[int, int]] = []

    def quick(model: Any, **options: Any) -> Any:
        tried.append((options["batch_size"], torch.get_num_threads()))
        return optimize(model, candidates=["packed"], **options)

    monkeypatch.setattr(models, "optimize", quick)
    server = start(classifier, optimize=True, max_batch=3)
    assert tried == [(3, 1)]  # as it will run
    files = odd_files()
    wanted = baimu.predict(classifier, files)
    for file, one in zip(files, wanted, strict=True):
        (told,) = ask(server.url, "/predict", file).json["results"]
        assert told["classes"][0]["name"] == one.name
        assert told["classes"][0]["score"] == pytest.approx(one.score, abs=1e-5)
    with pytest.raises(BaimuError, match=r"fastest way on a CPU .* leave it or the device out"):
        start(classifier, optimize=True, device="cuda")
