"""Classes: which have examples, in which splits, and whether their names mean one thing each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from baimu.datasets.annotations import FileSource
from baimu.datasets.doctor.report import Finding
from baimu.datasets.label_maps import MapSource
from baimu.datasets.labels import LabelSource
from baimu.datasets.texts import LabelledTexts
from baimu.errors import DataError

if TYPE_CHECKING:
    from baimu.datasets.doctor.check import Opened

BALANCE = 100
"""Times that the commonest class may outnumber the rarest."""


def check(opened: Opened) -> Iterator[Finding]:
    """C102, C104 to C111."""
    counts = {split: found for split, part in opened.splits.items() if (found := examples(part)) is not None}
    if not counts:
        return
    place = str(opened.root)
    total: Counter[str] = sum(counts.values(), Counter())
    known = list(dict.fromkeys(name for split in counts for name in opened.splits[split].classes))
    for name in known:
        if total[name] == 0:
            yield Finding("C104", place, f"class {name}", f"no split has an example of {name!r}", "never learned")
    held = next((split for split in ("val", "test") if split in counts and "train" in counts), None)
    if held is not None:
        yield from _between(opened, counts["train"], counts[held], held)
    present = [name for name in known if total[name]]
    if len(present) > 1:
        common, rare = max(present, key=total.__getitem__), min(present, key=total.__getitem__)
        if total[common] >= BALANCE * total[rare]:
            text = f"{total[common]:,} examples of {common!r}, {total[rare]:,} of {rare!r}"
            yield Finding("C107", place, f"class {rare}", text, "used as they are")
    yield from _names(opened, known)
    if len(known) == 1 and opened.kind in ("classification", "text_classification") and not _several(opened):
        yield Finding("C111", place, f"class {known[0]}", "is the only one", "training stops")
    yield from _numbers(opened)


def examples(part: Any) -> Counter[str] | None:
    """How many objects, images, texts or maps of each class a split has."""
    names = part.classes
    if isinstance(part, FileSource):
        labels = part.all_objects().labels
    elif isinstance(part, LabelSource):
        _, marks, known = part.all_marks()
        labels = marks[known]
    elif isinstance(part, LabelledTexts):
        labels = part.marks
    elif isinstance(part, MapSource):
        labels = np.concatenate([np.zeros(0, np.int64), *(_of_map(part, i) for i in range(len(part)))])
    else:
        return None
    found: Counter[str] = Counter()
    for name, count in zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=False):
        found[name] += count
    return found


def _of_map(part: MapSource, index: int) -> np.ndarray:
    try:
        return np.unique(part.label_map(index)).astype(np.int64)
    except DataError:
        return np.zeros(0, np.int64)


def _between(opened: Opened, train: Counter[str], held: Counter[str], split: str) -> Iterator[Finding]:
    """What one of two splits has and the other has not."""
    place, known = str(opened.root), set(opened.splits["train"].classes)
    for name, count in held.items():
        if name not in known:
            text = f"{split} has the class {name!r}, which train does not know"
            yield Finding("C110", place, f"class {name}", text, "training stops", split)
        elif count and not train[name]:
            text = f"{split} has {count:,} examples of {name!r}, train none"
            yield Finding("C105", place, f"class {name}", text, "never learned", split)
    for name, count in train.items():
        if count and not held[name]:
            text = f"train has {count:,} examples of {name!r}, {split} none"
            yield Finding("C106", place, f"class {name}", text, "never measured", split)


def _names(opened: Opened, known: list[str]) -> Iterator[Finding]:
    place = str(opened.root)
    alike: dict[str, str] = {}
    for name in known:
        plain = re.sub(r"[\s_-]+", "", name.casefold())
        other = alike.setdefault(plain, name)
        if other != name and len(plain) > 1:
            yield Finding("C108", place, f"class {name}", f"{name!r} and {other!r} are two classes", "kept apart")
    for split, part in opened.splits.items():
        if any(problem.code == "C102" for problem in part.problems):
            continue
        for name, count in Counter(part.classes).items():
            if count > 1:
                yield Finding(
                    "C102", place, f"class {name}", f"{count} classes are called {name!r}", "both kept", split
                )


def _several(opened: Opened) -> bool:
    return any(getattr(part, "multi_label", False) for part in opened.splits.values())


def _numbers(opened: Opened) -> Iterator[Finding]:
    """Ids that mean one class in one split and another in the next."""
    parts = {split: part for split, part in opened.splits.items() if isinstance(part, FileSource)}
    first: dict[int, tuple[str, str]] = {}
    for split, part in parts.items():
        for number, name in zip(part.category_ids, part.classes, strict=True):
            before, other = first.setdefault(number, (split, name))
            if other != name:
                text = f"class {number} is {name!r} in {split}, {other!r} in {before}"
                yield Finding("C109", str(opened.root), f"class {number}", text, "matched by name", split)
