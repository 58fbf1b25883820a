"""Detections as files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO


def write_json(records: Sequence[dict[str, Any]], file: TextIO) -> None:
    """A list with one entry an image: ``source``, ``height``, ``width``, ``objects``, masks as COCO's run lengths."""
    import json

    json.dump(records, file, indent=1, ensure_ascii=False)
    file.write("\n")


def write_csv(records: Sequence[dict[str, Any]], file: TextIO) -> None:
    """One row a detection; boxes in pixels of the source, to a hundredth. An image without detections has no row."""
    import csv

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("source", "name", "label", "score", "x1", "y1", "x2", "y2"))
    for record in records:
        for found in record["objects"]:
            numbers = (f"{found['score']:.4f}", *(f"{side:.2f}" for side in found["box"]))
            writer.writerow((record["source"], found["name"], found["label"], *numbers))
