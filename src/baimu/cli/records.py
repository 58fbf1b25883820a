"""Results as files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from baimu.results import Result


def write_json(records: Sequence[dict[str, Any]], file: TextIO) -> None:
    """A list with one entry an image: ``source``, ``height``, ``width`` and what its task says, as ``objects`` (masks
    are COCO's run lengths), ``classes`` or ``text``; of a text its ``classes``, of a picture that was made its size as
    ``made``."""
    import json

    json.dump(records, file, indent=1, ensure_ascii=False)
    file.write("\n")


def write_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]], file: TextIO) -> None:
    """The rows of all results below their columns, as of :meth:`~baimu.results.result.Result.to_rows`."""
    import csv

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def save_map(found: Result, folder: Path) -> None:
    """The labels of an image or frame as ``folder/NAME.png``."""
    from baimu.results import Segmentation

    if not isinstance(found, Segmentation):
        raise typer.BadParameter("only a segmenter makes label maps", param_hint="--maps")
    path = Path(found.source.replace("#", "-"))
    found.save_map(folder / f"{path.stem if path.suffix else path.name}.png")
