"""The tables of a run: for the terminal, and as docs/parity.md."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.parity.outcome import TOLERANCE, Outcome, rounded

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parity.md"
NOTE = "<!-- Made by `make parity PAGE=docs/parity.md`; edit tests/parity. -->\n\n"
COLUMNS = ("model", "equals", "source", "largest relative difference", "verdict")
INTRO = f"""# Parity

Each row is a model of this library and its reference with the same parameters and the same input, in float32 on a CPU.
A difference is relative to the largest magnitude of the tensor that is compared, and is rounded up to one digit; up to
{TOLERANCE:.0e} the two are called equal. *Features* are the maps of backbone and neck, *outputs* the raw predictions of
every head, *logits* those of a classifier, *losses* each item of the loss, *gradients* the norm of each parameter's
gradient; *proposals* and *predictions* are compared as sets, box by box, and *masks* pixel by pixel.
"""
GOLDENS = """
## Against recorded references

What a reference computed stands in files (goldens); weights, images and annotations are made from their rules, and the
model is read from the configuration that the file holds. `make parity GOLDENS=FOLDER` compares a folder of them.

"""
TESTS = """
Files of networks and losses of other kinds are compared by tests of their own, likewise within the tolerance above
unless a test says why not:
"""
PEERS = """
## Against libraries

The library's own network, with random parameters and statistics, goes through the converter of its checkpoints, at two
sizes of input.

"""

OWN = {
    "tests/embedding/test_parity.py": (
        *("arcface/iresnet18", "arcface/iresnet100", "arcface/margin_losses"),
        *("reid/strong_baseline_r50", "reid/fastreid_bagtricks_r50", "metric/metric_losses"),
    ),
    "tests/metrics/test_retrieval.py": ("reid/reid_evaluation",),
    "tests/generation/test_parity_goldens.py": ("pix2pix/pix2pix_unet256_patchgan70", "basicsr/srresnet"),
    "tests/semantic_segmentation/test_parity_mmseg.py": (
        *("mmseg/fcn_r50_d8", "mmseg/pspnet_r50_d8", "mmseg/pspnet_r50_d8_slide_align"),
        *("mmseg/deeplabv3plus_r50_d8", "mmseg/unet_s5_fcn_dice"),
    ),
    "tests/text/test_parity_crnn.py": ("crnn/crnn", "crnn/text_resnet_bilstm_attn"),
    "tests/text/test_parity_textcnn.py": ("textcnn/textcnn",),
    "tests/tracking/test_parity.py": ("siamfc/siamfc_alexnet", "pysot/siamrpn_alexnet"),
}
"""Golden files that hold something else than the whole of a detector, by the test that compares all or part of them."""


def cells(outcome: Outcome) -> tuple[str, ...]:
    """A row of the page."""
    parts = ", ".join(f"{part} {rounded(difference)}" for part, difference in outcome.differences.items())
    return (f"`{outcome.call}`", f"`{outcome.file}`", outcome.source, parts, outcome.verdict)


def line(row: Iterable[str]) -> str:
    """A row of a markdown table."""
    return "| " + " | ".join(row) + " |\n"


def table(outcomes: Iterable[Outcome]) -> str:
    """What was compared, sorted by model."""
    rows = sorted(cells(o) for o in outcomes if not o.lacking)
    return line(COLUMNS) + line(["---"] * len(COLUMNS)) + "".join(map(line, rows))


def page(goldens: Sequence[Outcome], peers: Sequence[Outcome]) -> str:
    """The whole of docs/parity.md."""
    with_tests = {file for files in OWN.values() for file in files}
    absent = [o.file for o in goldens if o.lacking and o.file not in with_tests]
    names = "".join(f"\n- {line}" for line in by_folder(absent))
    missing = f"\nFiles of models that are not here yet:\n{names}\n" if absent else ""
    tests = "".join(f"\n- `{test}`: {'; '.join(by_folder(files))}" for test, files in OWN.items())
    return NOTE + INTRO + GOLDENS + table(goldens) + TESTS + tests + "\n" + missing + PEERS + table(peers)


def by_folder(files: Iterable[str]) -> list[str]:
    """``folder: file, file`` of each folder."""
    folders = defaultdict(list)
    for file in files:
        folders[file.partition("/")[0]].append(file.partition("/")[2])
    return [f"{folder}: {', '.join(sorted(names))}" for folder, names in sorted(folders.items())]


def without_figures(text: str) -> str:
    """The text without differences, whose last digits are the processor's, and without versions."""
    text = re.sub(r" within rounding \([^)]*\)", "", text)  # as may be whether that was needed
    return re.sub(r"\b(\de[+-]\d\d|\d+(\.\d+)+|0)(?=[,| ])", "~", text)


def is_on_page(outcome: Outcome, text: str) -> bool:
    """Does docs/parity.md have this row, but for the figures?"""
    return without_figures(line(cells(outcome))) in without_figures(text)


def terminal(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """Rows for :func:`baimu.cli.table.print_table`: file, model, differences, verdict."""
    return [
        (o.file, o.call, "  ".join(f"{part} {rounded(d)}" for part, d in o.differences.items()), o.verdict)
        for o in sorted(outcomes, key=lambda o: (bool(o.lacking), o.file))
    ]
