"""What a bench measures: cells of runtime, precision, batch size and threads, and which of them there cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from baimu.deploy.export import PRECISIONS
from baimu.errors import BaimuError, unknown
from baimu.runtimes.session import RUNTIMES, WRITERS, is_installed

IN_TORCH: dict[str, tuple[str, ...]] = {
    "eager": ("fp32", "bf16", "fp16"),
    "folded": ("fp32", "bf16", "fp16"),
    "optimized": ("fp32", "bf16", "int8"),
    "compiled": ("fp32", "bf16", "fp16"),
}
"""Ways to run the model itself, and their precisions; the other runtimes are those of exported files."""
KNOWN = {**IN_TORCH, **PRECISIONS}
SLOW = ("optimized", "compiled", "aotinductor")
"""Take minutes to make, so that they are measured only where they are named."""


class Cell(NamedTuple):
    """One measurement."""

    runtime: str
    precision: str
    batch_size: int
    threads: int

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}, batch {self.batch_size}, threads {self.threads}"


def plan(
    runtimes: Sequence[str] | None, precisions: Sequence[str], batch_sizes: Sequence[int], threads: Sequence[int]
) -> list[Cell]:
    """All combinations, those of the same batch size and threads beside each other. Without ``runtimes`` those that are
    installed and quickly made.

    Raises :class:`~baimu.errors.BaimuError` for what does not exist.
    """
    if runtimes is None:
        runtimes = [name for name in KNOWN if name not in SLOW and not missing(name)]
    for name in runtimes:
        if name not in KNOWN:
            raise unknown("runtime", name, KNOWN)
    for precision in precisions:
        if not any(precision in known for known in KNOWN.values()):
            raise unknown("precision", precision, {one for known in KNOWN.values() for one in known})
    for kind, values in {"batch_sizes": batch_sizes, "threads": threads}.items():
        if not values or min(values) < 1:
            raise BaimuError(f"{kind}={', '.join(map(str, values)) or 'none'}: give whole numbers of at least 1")
    if not runtimes or not precisions:
        raise BaimuError(f"there is nothing to measure; name runtimes ({', '.join(KNOWN)}) and precisions")
    order = product(_once(threads), _once(batch_sizes), _once(runtimes), _once(precisions))
    return [Cell(runtime, precision, batch_size, count) for count, batch_size, runtime, precision in order]


def why_not(cell: Cell, *, images: bool) -> str:
    """Why a cell cannot be, in words with the mend; empty where it can. ``images``: whether there are real ones."""
    if cell.precision not in KNOWN[cell.runtime]:
        return f"{cell.runtime} runs in {', '.join(KNOWN[cell.runtime])}"
    if cell.precision == "int8" and cell.runtime != "mnn" and not images:
        return "int8 takes its ranges from real images; give images"
    if packages := missing(cell.runtime):
        return f"{', '.join(packages)} not installed: pip install 'baimu[{RUNTIMES[cell.runtime].extra}]'"
    return ""


def missing(runtime: str) -> list[str]:
    """Packages that a runtime needs, to write its files too, and that are not installed."""
    if runtime not in RUNTIMES:
        return []
    one = RUNTIMES[runtime]
    return [name for name in (*one.packages, *(WRITERS if one.extra else ())) if not is_installed(name)]


def _once(values: Sequence) -> list:
    return list(dict.fromkeys(values))
