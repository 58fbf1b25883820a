"""How far two sets of parameters are the same: the share that matches, and a message that shows what does not."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Size, Tensor


@dataclass(frozen=True)
class Fit:
    """A model's parameters against those of a file, under the same names."""

    share: float  # of all elements on either side that have their like on the other, 0…1
    missing: list[str]  # of the model's names
    surplus: list[str]  # of the file's names
    shapes: list[str]  # "name: (…) in the file, (…) in the model"

    @property
    def whole(self) -> bool:
        return not (self.missing or self.surplus or self.shapes)

    def report(self) -> str:
        """Lines that tell the share and what is left over on either side, what is missing with the nearest."""
        lines = [f"\n  {math.floor(100 * self.share)}% of the parameters match"]  # never 100 where something does not
        missing = [_with_nearest(key, self.surplus) for key in self.missing[:8]]
        for title, shown, all_of_them in (
            ("missing", missing, self.missing),
            ("not used", self.surplus[:8], self.surplus),
            ("other shape", self.shapes[:8], self.shapes),
        ):
            if shown:
                more = f" and {len(all_of_them) - 8} more" if len(all_of_them) > 8 else ""
                lines.append(f"\n  {title}: {', '.join(shown)}{more}")
        return "".join(lines)


def compare(own: Mapping[str, Size], found: Mapping[str, Tensor], *, may_miss: Iterable[str] = ()) -> Fit:
    """``own`` are a model's shapes, ``found`` the tensors of a file, which may lack what ``may_miss`` matches."""
    optional = [re.compile(pattern) for pattern in may_miss]
    theirs = {k: value.shape for k, value in found.items()}
    both = [k for k in own if k in theirs]
    shared = sum(math.prod(own[k]) for k in both if own[k] == theirs[k])
    total = sum(map(math.prod, own.values())) + sum(map(math.prod, theirs.values())) - shared
    return Fit(
        share=shared / total if total else 1.0,
        missing=[k for k in own if k not in theirs and not any(p.search(k) for p in optional)],
        surplus=[k for k in theirs if k not in own],
        shapes=[
            f"{k}: {tuple(theirs[k])} in the file, {tuple(own[k])} in the model" for k in both if own[k] != theirs[k]
        ],
    )


def _with_nearest(key: str, others: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(others)[:200], n=1, cutoff=0.6)
    return f"{key} (near {near[0]})" if near else key
