"""The report: one file, everything in it, nothing from outside, no text taken for markup."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from baimu.draw.report import write_report

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Page(HTMLParser):
    """What a browser would make of a page: its tags with attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((4, 9, 3), np.uint8)).save(path)
    return path


def read(path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == [], "a tag is left open"
    return page


def test_all_of_it_is_in_the_file(tmp_path, picture):
    path = write_report(
        tmp_path / "report.html",
        title="a run",
        facts={"box AP": np.float32(0.51234), "images": 12345, "lr": 1e-5, "none": float("nan")},
        tables=[("Per class", ["class", "AP"], [["cat", 0.5], ["dog", float("nan")]])],
        pictures=[("Losses", picture)],
    )
    page = read(path)
    for text in ("a run", "0.512", "12,345", "1e-05", "Per class", "cat", "0.500", "–", "Losses"):
        assert text in page.texts
    (source,) = [a["src"] for tag, a in page.tags if tag == "img"]
    kind, _, data = source.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == picture.read_bytes()


def test_nothing_is_asked_of_the_network_and_nothing_runs(tmp_path, picture):
    path = write_report(tmp_path / "report.html", title="t", facts={}, pictures=[("p", picture)])
    text = path.read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    page = read(path)
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    assert any("default-src 'none'" in (a.get("content") or "") for tag, a in page.tags if tag == "meta")


def test_hostile_texts_stay_texts(tmp_path, picture):
    hostile_file = tmp_path / "no <b>such</b> file.png"
    path = write_report(
        tmp_path / "report.html",
        title=HOSTILE,
        facts={HOSTILE: HOSTILE, "$title ${facts} %s {x}": "$tables"},
        tables=[(HOSTILE, [HOSTILE], [[HOSTILE]])],
        pictures=[(HOSTILE, picture), (HOSTILE, hostile_file)],
    )
    page = read(path)
    assert not any(tag == "script" for tag, _ in page.tags)
    assert all(a["src"].startswith("data:") for tag, a in page.tags if tag == "img")
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert page.texts.count(HOSTILE) == 9  # title twice, fact twice, table thrice, captions twice
    assert "$tables" in page.texts


def test_a_missing_picture_is_named(tmp_path):
    path = write_report(tmp_path / "r.html", title="t", facts={}, pictures=[("Curves", tmp_path / "curves.png")])
    assert any("curves.png: No such file" in text for text in read(path).texts)


def test_a_folder_gets_report_html_and_it_is_replaced_whole(tmp_path):
    first = write_report(tmp_path, title="one", facts={})
    again = write_report(tmp_path, title="two \ud800", facts={})  # a lone surrogate cannot be written
    assert first == again == tmp_path / "report.html"
    assert "one" not in read(again).texts
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_columns_of_numbers_stand_at_the_right(tmp_path):
    table = ("t", ["name", "n", "mixed"], [["a", 1, 2], ["b", 2.5, "x"]])
    page = read(write_report(tmp_path, title="t", facts={}, tables=[table]))
    assert [a.get("class") for tag, a in page.tags if tag == "th"] == [None, "number", None]
