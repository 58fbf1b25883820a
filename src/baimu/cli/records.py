"""Results as files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO


def write_json(records: Sequence[dict[str, Any]], file: TextIO) -> None:
    """A list with one entry an image: ``source``, ``height``, ``width`` and what its task says, as ``objects`` (masks
    are COCO's run lengths) or ``classes``."""
    import json

    json.dump(records, file, indent=1, ensure_ascii=False)
    file.write("\n")


def write_csv(records: Sequence[dict[str, Any]], file: TextIO) -> None:
    """One row a detection, with its box in pixels of the source, to a hundredth; or one row a class, best first.

    An image of which there is nothing to tell has no row.
    """
    import csv

    writer = csv.writer(file, lineterminator="\n")
    of_classes = any("classes" in record for record in records)
    sides = () if of_classes else ("x1", "y1", "x2", "y2")
    writer.writerow(("source", "name", "label", "score", *sides))
    for record in records:
        for found in record["classes" if of_classes else "objects"]:
            box = (f"{side:.2f}" for side in found.get("box", ()))
            writer.writerow((record["source"], found["name"], found["label"], f"{found['score']:.4f}", *box))
