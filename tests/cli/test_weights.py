"""``baimu weights`` and ``baimu predict --model name.tag``: what they print, and how they end."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest

from baimu import weights as library
from baimu.weights import catalog
from tests.test_import import HEAVY, command, loaded_by
from tests.weights.server import serve

TAG = "fcos_r50_fpn.coco"
CONTENT = b"parameters" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, empty, and no network unless a test has its own."""
    monkeypatch.setenv("BAIMU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BAIMU_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.mark.parametrize("verb", ["list", "show", "fetch", "verify"])
def test_help_has_an_example_that_starts_with_the_verb(baimu, verb: str) -> None:
    done = baimu("weights", verb, "--help")
    assert done.exit_code == 0
    assert f"Example: baimu weights {verb}" in done.stdout


def test_the_verbs_are_the_functions_of_the_module(baimu) -> None:
    listed = baimu("weights", "--help").stdout.partition("Commands:")[2].split("\n")
    verbs = {"list": "entries", "show": "entry", "fetch": "fetch", "verify": "verify"}
    assert [line.split()[0] for line in listed if line.strip()] == [*verbs]
    assert set(verbs.values()) <= set(library.__all__)


def tags(stdout: str) -> list[str]:
    return [line.split()[0] for line in stdout.splitlines()[1:]]


@pytest.mark.parametrize(
    ("words", "filters"),
    [
        ([], {}),
        (["fcos*"], {"pattern": "fcos*"}),
        (["--model", "retinanet_r50_fpn"], {"model": "retinanet_r50_fpn"}),
        (["--source", "torchvision", "*coco*"], {"source": "torchvision", "pattern": "*coco*"}),
        (["--licence", "BSD-3-Clause"], {"licence": "BSD-3-Clause"}),
        (["--commercial", "unknown"], {"commercial": "unknown"}),
    ],
)
def test_list_prints_what_passes_the_filters(baimu, words: list[str], filters: dict[str, str]) -> None:
    assert tags(baimu("weights", "list", *words).stdout) == [e.tag for e in library.entries(**filters)]


def test_list_tells_scores_licence_and_what_is_here(baimu) -> None:
    assert "no published weights match" in baimu("weights", "list", "--cached").stdout
    assert "no published weights match" in baimu("weights", "list", "--commercial", "yes").stdout
    path = library.entry(TAG).path
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    header, *rows = baimu("weights", "list", "--cached").stdout.splitlines()
    assert header.split("  ")[0] == "name.tag"
    assert [row.split() for row in rows] == [
        [TAG, "box", "ap", "36.6", "openmmlab", "Apache-2.0", "unknown", "yes"],
    ]


def test_show_tells_all_and_folds_no_address(baimu, cache: Path) -> None:
    known = library.entry("retinanet_r50_fpn.coco_caffe")
    done = baimu("weights", "show", known.tag)
    facts = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    assert facts["URL"] == known.url
    assert facts["path"] == str(cache / "openmmlab" / known.file)
    assert facts["arguments"] == "stride_in_3x3 False"
    assert facts["published"] == "box ap 36.3"
    assert "channel_order bgr" in facts["input"]
    assert facts["classes"].startswith("80: person, bicycle, ")
    assert "non-commercial research" in facts["ImageNet-1k"]


def test_fetch_prints_paths_and_verify_judges_them(baimu, monkeypatch) -> None:
    monkeypatch.delenv("BAIMU_OFFLINE")
    with serve() as server:
        local = replace(library.entry(TAG), url=server.put("/a.pth", CONTENT), sha256=SHA256[:8])
        monkeypatch.setattr(catalog, "_entries", lambda: {TAG: local})
        assert "no weights of the catalogue are here" in baimu("weights", "verify").stdout
        absent = baimu("weights", "verify", TAG)
        assert (absent.exit_code, absent.stdout.splitlines()[1].split()[:2]) == (1, [TAG, "absent"])

        done = baimu("weights", "fetch", TAG)
        assert (done.exit_code, done.stdout) == (0, f"{local.path}\n")
    right = baimu("weights", "verify")
    assert (right.exit_code, right.stdout.splitlines()[1].split()[:3]) == (0, [TAG, "right", SHA256])

    local.path.write_bytes(b"damaged")
    wrong = baimu("weights", "verify")
    assert (wrong.exit_code, wrong.stdout.splitlines()[1].split()[:2]) == (1, [TAG, "wrong"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "fcos_r50_fpn.cocoo"], f"unknown weights 'fcos_r50_fpn.cocoo'. Did you mean {TAG}"),
        (["fetch", TAG, "fcos_r50_fpn.cocoo"], f"unknown weights 'fcos_r50_fpn.cocoo'. Did you mean {TAG}"),
        (["verify", "fcos"], "unknown weights 'fcos'"),
        (["list", "--model", "fcos_r50"], "unknown model 'fcos_r50'. Did you mean fcos_r50_fpn"),
        (["list", "--licence", "Apache"], "unknown licence 'Apache'. Did you mean Apache-2.0"),
        (["list", "--commercial", "maybe"], "maybe"),
        (["fetch"], "TAG"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(baimu, words, message) -> None:
    done = baimu("weights", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert not done.stdout


@pytest.mark.parametrize("words", ["weights --help", "weights list", f"weights show {TAG}", "weights verify"])
def test_nothing_heavy_is_loaded(words: str) -> None:
    assert not loaded_by(command(words)) & HEAVY


def test_the_catalogue_is_read_in_a_blink() -> None:
    """Processor time, which a busy machine does not stretch much, of all but the interpreter's own start."""
    code = (
        "import time; begun = time.process_time(); from baimu import weights; weights.entries();"
        "print(time.process_time() - begun)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert float(done.stdout) < 0.3


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    PIL.Image.new("RGB", (80, 64)).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_predict_without_a_network_says_what_to_fetch_and_where_to_put_it(baimu, photo: Path) -> None:
    done = baimu("predict", photo, "--model", TAG, "--out", photo.parent / "out")
    known = library.entry(TAG)
    assert done.exit_code == 2
    for line in (f"fetch   {known.url}", f"put it  {known.path}", f"check   baimu weights verify {TAG}"):
        assert line in done.stderr
    assert not (photo.parent / "out").exists()


def test_predict_takes_its_model_by_option_or_first(baimu, run_folder: Path, photo: Path) -> None:
    found = []
    for i, words in enumerate(([photo, "--model", run_folder], [run_folder, photo])):
        out = photo.parent / f"{i}.json"
        done = baimu("predict", *words, "--out", photo.parent / f"out{i}", "--json", out)
        assert done.exit_code == 0, done.output
        found.append(json.loads(out.read_text()))
    assert found[0] == found[1]


def test_predict_of_one_word_asks_for_the_other(baimu, photo: Path) -> None:
    done = baimu("predict", photo)
    assert done.exit_code == 2
    assert "name a model and what to look at" in done.stderr


def test_an_untrained_name_offers_its_published_weights(baimu, photo: Path) -> None:
    done = baimu("predict", photo, "--model", "fcos_r50_fpn")
    assert f"or use published weights: {TAG}" in done.stderr


def test_the_wheel_holds_the_catalogue() -> None:
    """A fresh interpreter outside the checkout finds the data beside the module."""
    code = "from baimu import weights; print(len(weights.entries()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=os.sep)
    assert int(done.stdout) == len(library.entries())
