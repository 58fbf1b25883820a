"""What an exported file says of its model: JSON that lies in the file's own metadata, under one key."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from baimu.errors import CheckpointError

KEY = "baimu"
"""Under which it lies in the metadata, whatever the format."""
FORMAT = 1
"""A reader refuses a later one."""


@dataclass(frozen=True)
class Card:
    """All that is needed to use the graph beside it like the model it was made of."""

    task: str
    classes: tuple[str, ...]
    preprocess: dict[str, Any]  # resize, padding and order of the images that the graph takes; it normalises for itself
    outputs: tuple[str, ...]  # names of its tensors, in order
    takes_sizes: bool = False  # whether a second input says how much of each image is valid
    facts: dict[str, Any] = field(default_factory=dict)  # attributes of the model that whoever asks it reads
    model: tuple[str, dict[str, Any]] | None = None  # name in the catalogue and its arguments
    precision: str = "fp32"
    fixed_size: tuple[int | None, int | None] = (None, None)  # height and width of the input, where it must have them
    licence: str = ""  # of the weights, SPDX; empty where nobody said
    version: str = ""  # of the library that wrote it
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None, path: Any) -> Card:
        """Raises :class:`~baimu.errors.CheckpointError`, with ``path``, for what this version cannot read."""
        mend = "export it with baimu export, or run it with its own runtime"
        if not text:
            raise CheckpointError(f"{path}: was not exported by baimu, so nothing says what its tensors mean; {mend}")
        try:
            values = json.loads(text)
            if values.get("format", 0) > FORMAT:
                raise CheckpointError(
                    f"{path}: written by baimu {values['version']}, later than this one; update baimu"
                )
            values |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
            given: Any = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            return cls(**given)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{path}: what it says of its model cannot be read ({error}); {mend}") from None
