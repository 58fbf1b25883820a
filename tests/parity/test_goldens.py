"""Every golden file whose model is in the catalogue: all that it holds within 1e-4, and its row on docs/parity.md.

No file is named here: what lies in the folder is compared once a reader of tests/parity knows its kind of network.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.compare import compare, recognise
from tests.parity.golden import golden_files, header
from tests.parity.page import OWN, PAGE, is_on_page
from tests.parity.pattern import Lacking

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "goldens"


def split() -> tuple[list[Path], dict[str, str]]:
    """Files whose model we have, and the others with what is lacking."""
    ours, lacking = [], {}
    for path in golden_files(FOLDER) if FOLDER.is_dir() else ():
        try:
            recognise(header(path))
            ours.append(path)
        except Lacking as reason:
            lacking[path.relative_to(FOLDER).with_suffix("").as_posix()] = str(reason)
    return ours, lacking


OURS, LACKING = split()


@pytest.mark.parametrize("path", OURS or [FOLDER], ids=lambda path: path.stem)
def test_equals_the_reference(shared: Path, path: Path) -> None:
    outcome = compare(path)
    assert outcome.equal, f"{outcome.file} as {outcome.call}: {outcome.differences}"
    assert is_on_page(outcome, PAGE.read_text(encoding="utf-8")), "run make parity PAGE=docs/parity.md"


def test_the_page_names_the_files_whose_model_is_lacking(shared: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = [name for name in LACKING if f" {name.partition('/')[2]}" not in text]
    assert missing == [], "run make parity PAGE=docs/parity.md"


@pytest.mark.parametrize(("test", "files"), OWN.items())
def test_files_with_tests_of_their_own_are_read_there(shared: Path, test: str, files: tuple[str, ...]) -> None:
    room = (ROOT / test).parent
    text = "".join(path.read_text(encoding="utf-8") for path in [ROOT / test, *room.glob("golden*.py")])
    for file in files:
        assert (FOLDER / f"{file}.npz").is_file()
        assert file.rpartition("/")[2].rstrip("0123456789") in text
