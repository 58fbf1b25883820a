"""The page in a real browser: a file is chosen and one dropped, the result is seen, and no other host is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pytest

from baimu.deploy.serving.page import page, policy
from baimu.preprocess import Preprocess
from baimu.zoo import create_model
from tests.deploy.serving.browser import Browser, browser, found
from tests.deploy.serving.client import ask
from tests.inference.test_classifying import PLAIN, ColourNamer

SHOWN = "!document.getElementById('result').hidden && !document.body.classList.contains('busy')"
FAILED = "!document.getElementById('error').hidden"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = found()
    if program is None:
        pytest.skip("needs a Chromium to look at the page with")
    with browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def files(picture, tmp_path: Path) -> dict[str, Path]:
    for name, image in (("one", picture(80, 120, (10, 10, 60, 50))), ("none", picture(60, 60, None))):
        PIL.Image.fromarray(image).save(tmp_path / f"{name}.png")
    (tmp_path / "letter.png").write_bytes(b"Dear Sir or Madam")
    return {name: tmp_path / f"{name}.png" for name in ("one", "none", "letter")}


@pytest.mark.timeout(240)
def test_a_file_is_chosen_and_one_dropped_and_the_result_is_seen(start, make_finder, window: Browser, files) -> None:
    server = start(
        [make_finder(), ColourNamer(Preprocess(**PLAIN, resize="none")), create_model("textcnn", num_classes=2)]
    )
    window.open(server.url)
    window.wait("document.querySelectorAll('#model option').length === 3")
    assert window.run("document.getElementById('task').textContent") == "detection, 2 classes"

    window.choose("#file", files["one"])
    window.wait(SHOWN)
    assert window.run("document.querySelector('#said strong').textContent") == "1 object"
    assert window.run("[...document.querySelectorAll('#rows td')].map(cell => cell.textContent)") == [
        "red",
        "",
        "80.0 %",
    ]
    window.wait("document.getElementById('picture').naturalWidth > 0")
    assert window.run("document.getElementById('picture').naturalWidth") == 120
    assert '"box"' in window.run("document.getElementById('json').textContent")

    window.drop("#drop", files["none"])
    window.wait("document.querySelector('#said strong').textContent === '0 objects'")
    assert window.run("document.getElementById('picture').naturalWidth") in (60, 120)  # or not yet decoded

    window.drop("#drop", files["letter"])
    window.wait(FAILED)
    assert "not an image" in window.run("document.getElementById('error').textContent")
    assert window.run("document.getElementById('result').hidden")
    # a browser notes each answer of 400 and more
    assert [text for text in window.complaints if "415" not in text] == []
    assert {address.removeprefix(server.url)[:1] for address in window.asked if not address.startswith("data:")} == {
        "/"
    }


@pytest.mark.timeout(240)
def test_options_and_models_are_chosen(start, make_finder, window: Browser, files) -> None:
    server = start(
        [make_finder(), ColourNamer(Preprocess(**PLAIN, resize="none")), create_model("textcnn", num_classes=2)]
    )
    window.open(server.url)
    window.wait("document.querySelectorAll('#model option').length === 3")
    window.choose("#file", files["one"])
    window.wait(SHOWN)
    change = "(input => {input.value = %r; input.dispatchEvent(new Event('change', {bubbles: true}))})(%s)"
    window.run(change % ("0.05", "document.getElementById('option-score_threshold')"))
    window.wait("document.querySelector('#said strong').textContent === '2 objects'")
    window.run(change % ("colournamer", "document.getElementById('model')"))
    assert window.run("document.getElementById('result').hidden")
    window.choose("#file", files["one"])
    window.wait(SHOWN)
    assert window.run("document.querySelector('#said strong').textContent") == "red"
    assert window.run("document.querySelectorAll('#rows tr').length") == 3
    window.run(change % ("textcnn", "document.getElementById('model')"))
    window.run("document.getElementById('text').value = 'win now'; document.querySelector('#words button').click()")
    window.wait(SHOWN)
    assert window.run("document.querySelector('#said strong').textContent").startswith("class")


@pytest.mark.timeout(240)
def test_the_description_of_the_interface_is_a_page_of_its_own(start, finder, window: Browser) -> None:
    server = start(finder)
    window.asked.clear()
    window.open(f"{server.url}/docs")
    text = window.run("document.body.innerText")
    assert "/models/{name}/predict" in text
    assert "score_threshold" in text
    assert [address for address in window.asked if not address.startswith(server.url)] == []


def test_no_page_names_another_host(start, finder) -> None:
    server = start(finder)
    for path in ("/", "/docs"):
        answer = ask(server.url, path)
        text = answer.body.decode()
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        assert "'unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["content-security-policy"] == policy(text)
    described = ask(server.url, "/openapi.json").json
    assert {"/predict", "/models/{name}/predict", "/models", "/health", "/ready", "/metrics"} <= set(described["paths"])
    names = [parameter["name"] for parameter in described["paths"]["/predict"]["post"]["parameters"]]
    assert names == ["score_threshold", "iou_threshold", "classes", "picture"]


def test_a_page_without_scripts_may_run_none() -> None:
    assert "script-src 'none'" in policy("<style>a</style>")
    assert "script-src 'sha256-" in policy(page())
