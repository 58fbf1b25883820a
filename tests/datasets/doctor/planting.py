"""How faults are planted: one changes a clean set at a place and says what must then be found, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Expected = tuple[str, str, str]
"""Code, file below the root ("" for the root itself), record."""


@dataclass(frozen=True)
class Fault:
    """``plant(root, slot)`` spoils the image, line or record number ``slot`` (0…7) of train; ``alone`` where it changes
    more than that, so that no second fault can stand beside it."""

    base: str
    name: str
    plant: Callable[[Path, int], list[Expected]]
    deep: bool = False
    alone: bool = False
    readable: bool = True

    @property
    def id(self) -> str:
        return f"{self.base}-{self.name}"


FAULTS: list[Fault] = []


def fault(*bases: str, **options: Any) -> Callable[[Callable[..., list[Expected]]], Callable[..., list[Expected]]]:
    """Register a fault under its function's name, for each of the bases; one of several is told which."""

    def register(plant: Callable[..., list[Expected]]) -> Callable[..., list[Expected]]:
        name = plant.__name__.strip("_")
        for base in bases:
            told = (lambda root, slot, base=base: plant(root, slot, base)) if len(bases) > 1 else plant
            FAULTS.append(Fault(base, name, told, **options))
        return plant

    return register


TRAIN_JSON = "annotations/instances_train.json"
VAL_JSON = "annotations/instances_val.json"


def edit(root: Path, change: Callable[[dict[str, Any]], Any], file: str = TRAIN_JSON) -> None:
    """Rewrite a COCO file."""
    path = root / file
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def edit_lines(file: Path, change: Callable[[list[str]], Any]) -> None:
    """Rewrite a text file by its lines."""
    lines = file.read_text(encoding="utf-8").splitlines()
    change(lines)
    file.write_bytes("".join(f"{line}\n" for line in lines).encode())
