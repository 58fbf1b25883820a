"""The card in files that are zip archives: torch's packages of all kinds."""

from __future__ import annotations

import zipfile
from pathlib import Path

from baimu.errors import CheckpointError
from baimu.runtimes.card import KEY, Card


def add_card(path: Path, card: Card) -> None:
    """Write it into the archive, beside what is there, in the folder that the archive consists of."""
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/extra/{KEY}.json", card.to_json())


def read_card(path: Path) -> Card:
    """Raises :class:`~baimu.errors.CheckpointError` for a damaged archive or one without a card."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"extra/{KEY}.json")]
            text = archive.read(names[0]).decode() if names else None
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: is damaged ({error}); export it again") from None
    return Card.from_json(text, path)
