"""Renaming the parameters of foreign checkpoints by tables of (regex, replacement), strict afterwards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from baimu.errors import CheckpointError

KeyTable = Sequence[tuple[str, str]]


def rename(key: str, table: KeyTable) -> str:
    """``key`` after every pair of the table, in order; patterns match anywhere unless they are anchored."""
    for pattern, replacement in table:
        key = re.sub(pattern, replacement, key)
    return key


def load_renamed(
    model: nn.Module, state: Mapping[str, Tensor], table: KeyTable, *, may_miss: Iterable[str] = ()
) -> None:
    """Load ``state`` under its renamed keys. Every key of both sides must be met, but those matching ``may_miss``.

    Raises :class:`~baimu.errors.CheckpointError` that lists what is left over on either side, names that two keys
    become, and shapes that differ.
    """
    renamed = {rename(key, table): value for key, value in state.items()}
    twice = [key for key, times in Counter(rename(key, table) for key in state).items() if times > 1]
    own = model.state_dict()
    optional = [re.compile(pattern) for pattern in may_miss]
    missing = [k for k in own if k not in renamed and not any(p.search(k) for p in optional)]
    surplus = [k for k in renamed if k not in own and not any(p.search(k) for p in optional)]
    shapes = [
        f"{k}: {tuple(renamed[k].shape)} in the file, {tuple(own[k].shape)} in the model"
        for k in own
        if k in renamed and own[k].shape != renamed[k].shape
    ]
    if missing or surplus or shapes or twice:
        raise CheckpointError(
            "these weights do not fit the model."
            + "".join(
                f"\n  {title}: {', '.join(keys[:8])}{f' and {len(keys) - 8} more' if len(keys) > 8 else ''}"
                for title, keys in (
                    ("missing", missing),
                    ("not used", surplus),
                    ("met twice", twice),
                    ("other shape", shapes),
                )
                if keys
            )
        )
    model.load_state_dict({k: v for k, v in renamed.items() if k in own}, strict=False)
