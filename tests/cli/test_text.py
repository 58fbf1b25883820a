"""The verbs on lines of text and on texts: from files to a run, its score, its data, and what it says."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.training import test_text_recognition as small
from tests.training.test_text_classification import HAM, SPAM


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write_lines(tmp_path_factory.mktemp("lines"), ["12", "AB", "1A", "BB", "21", "A2"])


@pytest.fixture(scope="module")
def reader(baimu, lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert small.small_reader  # its name is in the catalogue
    out = tmp_path_factory.mktemp("runs") / "reader"
    settings = ["epochs=1", "batch_size=2", "workers=0", "precision=fp32", "lr=0.001"]
    done = baimu("train", "small_reader", "--data", lines, "--out", out, *settings, "model.hidden=6")
    assert done.exit_code == 0, done.output
    assert "similarity" in done.stdout
    return out


def test_lines(baimu, reader: Path, lines: Path, tmp_path: Path) -> None:
    done = baimu("eval", reader, "--data", lines, "--split", "all")
    assert done.exit_code == 0, done.output
    assert "cer" in done.stdout
    rows = [line.split() for line in baimu("data", lines).stdout.splitlines()]
    assert ["lines", "6"] in rows
    assert ["A", "3"] in rows
    out, table = tmp_path / "out", tmp_path / "read.csv"
    words = [reader, lines / "train0.png", "--out", out, "--json", tmp_path / "read.json", "--csv", table]
    done = baimu("predict", *words, "--set", "beam=4", "--set", f"lexicon={lines / 'train.txt'}")
    assert done.exit_code == 2  # its rows are no words of these characters
    assert "no word that consists of the characters" in done.stderr
    done = baimu("predict", *words)
    assert done.exit_code == 0, done.output
    assert (out / "train0.png").exists()
    [record] = json.loads((tmp_path / "read.json").read_text(encoding="utf-8"))
    [row] = csv.DictReader(table.open(encoding="utf-8"))
    assert (row["source"], row["text"]) == (record["source"], record["text"])
    assert 0 <= float(row["score"]) <= 1


def test_texts(baimu, tmp_path: Path) -> None:
    data = tmp_path / "mail.tsv"
    rows = [f"{c}\t{text} {i}\n" for c, own in (("ham", HAM), ("spam", SPAM)) for i, text in enumerate(own * 4)]
    data.write_text("".join(rows), encoding="utf-8")
    run = tmp_path / "run"
    words = ["epochs=3", "batch_size=6", "model.dim=8", "model.filters=6"]
    done = baimu("train", "textcnn", "--data", data, "--out", run, *words)
    assert done.exit_code == 0, done.output
    assert "their vectors drawn" in done.stdout
    assert "macro_f1" in baimu("eval", run, "--data", data).stdout
    assert ["texts", "24"] in [line.split() for line in baimu("data", data).stdout.splitlines()]
    table = tmp_path / "told.csv"
    done = baimu("predict", run, "free prize", "--top", "1", "--csv", table)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("text 0: ")
    [row] = csv.DictReader(table.open(encoding="utf-8"))
    assert row["name"] in ("ham", "spam")
