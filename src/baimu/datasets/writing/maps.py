"""Writing images with label maps: ``images`` and ``masks``, in folders of the splits or not, and classes.txt."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from baimu.datasets.writing.places import Losses, Splits, copy_picture, distinct, picture_names, renamed, write_lines
from baimu.targets import UNDECIDED


def write_maps(splits: Splits, out: Path) -> Losses:
    """Maps as grey PNG files: 0…K−1 by class, 255 undecided."""
    losses = Losses()
    names = {split: picture_names(part) for split, part in splits.items()}
    unique = distinct(names)
    losses.add("image files: renamed", renamed(names, unique))
    for split, part in splits.items():
        folder = out if split == "all" else out / split
        for index, name in enumerate(unique[split]):
            copy_picture(part, index, folder / "images" / name)
            file = folder / "masks" / f"{os.path.splitext(name)[0]}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(part.label_map(index)).save(file)
    classes = next(iter(splits.values())).classes
    write_lines(out / "classes.txt", [*(f"{i} {name}" for i, name in enumerate(classes)), f"{UNDECIDED} void"])
    return losses
