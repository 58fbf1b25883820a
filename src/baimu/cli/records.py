"""Results as files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    pass


def write_json(records: Sequence[dict[str, Any]], file: TextIO) -> None:
    """A list with one entry an image: ``source``, ``height``, ``width`` and what its task says, as ``objects`` (masks
    are COCO's run lengths), ``classes`` or ``text``; of a text its ``classes``, of a picture that was made its size as
    ``made``."""
    import json

    json.dump(records, file, indent=1, ensure_ascii=False)
    file.write("\n")
