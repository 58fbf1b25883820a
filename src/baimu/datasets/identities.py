"""Images of identities, persons, faces, characters, held in flat arrays, and the setting aside of unseen ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from baimu.datasets.flat import ProblemLog, Problems
from baimu.datasets.labels import LabelSource, Pictures
from baimu.datasets.source import IdentitySource, Pairs, Shown
from baimu.errors import DataError

QUERY, GALLERY = 1, 2
"""What an image is for, as bits; most are both."""


@dataclass(frozen=True, eq=False)
class Identities:
    """The :class:`~baimu.datasets.source.IdentitySource` that every reader returns.

    ``groups`` (K names) say which identities belong together (the characters of an alphabet): they are set aside
    together. Without groups each is one.
    """

    root: str  # the folder or file that it was read from
    pictures: Pictures
    classes: tuple[str, ...]
    ids: np.ndarray  # (N,) int64 in −1…K−1
    cameras: np.ndarray  # (N,) int64, −1 where not told
    roles: np.ndarray  # (N,) int64, QUERY, GALLERY or both
    groups: tuple[str, ...]
    pairs: Pairs | None
    problems: Problems

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        return f"Identities({self.root!r}: {len(self)} images of {len(self.classes)} identities)"

    def name(self, index: int) -> str:
        return self.pictures.name(index)

    def image_id(self, index: int) -> int | str:
        return self.pictures.image_id(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.pictures.size(index)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        return self.pictures.image(index, at_least)

    def shown(self, index: int) -> Shown:
        role = int(self.roles[index])
        return Shown(int(self.ids[index]), int(self.cameras[index]), bool(role & QUERY), bool(role & GALLERY))

    def select(self, indices: Sequence[int] | np.ndarray) -> Identities:
        """The subset of these images, in this order, their identities numbered anew; pairs whose images are both there
        stay."""
        chosen = np.asarray(indices, np.int64).reshape(-1)
        left = np.unique(self.ids[chosen])
        left = left[left >= 0]
        ids = np.where(self.ids[chosen] >= 0, np.searchsorted(left, self.ids[chosen]), -1)
        return replace(
            self,
            pictures=self.pictures.take(chosen),
            classes=tuple(self.classes[i] for i in left),
            groups=tuple(self.groups[i] for i in left),
            ids=ids,
            cameras=self.cameras[chosen],
            roles=self.roles[chosen],
            pairs=_pairs_within(self.pairs, chosen, len(self)),
            problems=self.problems.for_images(chosen, len(self)),
        )

    def joined(self, other: Identities) -> Identities:
        """The images of both, ``other``'s after these; identities of one name are one."""
        if type(self.pictures) is not type(other.pictures):
            raise DataError(f"{self.root} and {other.root}: have pictures of two kinds and cannot be joined")
        classes = tuple(dict.fromkeys([*self.classes, *other.classes]))
        groups = dict(zip(other.classes, other.groups, strict=True)) | dict(zip(self.classes, self.groups, strict=True))
        place = np.array([*(classes.index(name) for name in other.classes), -1], np.int64)  # the last answers for −1
        return replace(
            self,
            root=os.path.commonpath([self.root, other.root]),
            pictures=self.pictures.joined(other.pictures),
            classes=classes,
            groups=tuple(groups[name] for name in classes),
            ids=np.concatenate([self.ids, place[other.ids]]),
            cameras=np.concatenate([self.cameras, other.cameras]),
            roles=np.concatenate([self.roles, other.roles]),
            pairs=None,
            problems=self.problems.joined(other.problems, len(self)),
        )


def _pairs_within(pairs: Pairs | None, chosen: np.ndarray, length: int) -> Pairs | None:
    if pairs is None:
        return None
    place = np.full(length, -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    first, second = place[pairs.first], place[pairs.second]
    kept = (first >= 0) & (second >= 0)
    return Pairs(first[kept], second[kept], pairs.same[kept], pairs.fold[kept]) if kept.any() else None


def identities(
    pictures: Pictures,
    names: Sequence[str],
    root: str,
    log: ProblemLog,
    *,
    groups: Sequence[str] | None = None,
    cameras: np.ndarray | None = None,
    roles: np.ndarray | None = None,
) -> Identities:
    """A data set from the name of each image's identity (N). Raises :class:`~baimu.errors.DataError`, which names
    ``root``, without images. ``groups`` (N) go with the names."""
    if not len(pictures):
        raise DataError(f"{root}: no image is left to use")
    classes, first, ids = np.unique(np.asarray(names, dtype=object).astype(str), return_index=True, return_inverse=True)
    of_class = classes if groups is None else np.asarray(groups, dtype=object).astype(str)[first]
    none = np.full(len(pictures), -1, np.int64)
    return Identities(
        root=root,
        pictures=pictures,
        classes=tuple(classes.tolist()),
        ids=ids.astype(np.int64),
        cameras=none if cameras is None else cameras,
        roles=none & (QUERY | GALLERY) if roles is None else roles,
        groups=tuple(of_class.tolist()),
        pairs=None,
        problems=log.problems(),
    )


def of_labels(source: LabelSource) -> Identities:
    """Images of one label each, whose classes are identities."""
    if source.multi_label:
        raise DataError(f"{source.root}: has any number of labels an image; an identity is one label an image")
    count = len(source)
    return Identities(
        root=source.root,
        pictures=source.pictures,
        classes=source.classes,
        ids=source.all_marks()[1],
        cameras=np.full(count, -1, np.int64),
        roles=np.full(count, QUERY | GALLERY, np.int64),
        groups=source.classes,
        pairs=None,
        problems=source.problems,
    )


def unseen(source: IdentitySource, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of two parts without a common identity, nor group where the data have any: the second of groups drawn
    by ``seed`` until they have ``count`` images and two identities. Images of nobody stay in the first."""
    ids = np.array([source.shown(i).identity for i in range(len(source))], np.int64)
    names = source.groups if isinstance(source, Identities) else source.classes
    numbers = np.unique(names, return_inverse=True)[1]
    group = np.where(ids >= 0, numbers[ids], -1)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(numbers.max(initial=-1) + 1)
    aside: list[int] = []
    for drawn in order[:-1].tolist():
        aside.append(drawn)
        inside = np.isin(group, aside)
        if inside.sum() >= count and len(np.unique(ids[inside])) >= 2:
            break
    inside = np.isin(group, aside)
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def unmatched(held_out: IdentitySource, train: IdentitySource) -> IdentitySource:
    """``held_out`` as it is: whom it shows need not be known."""
    del train
    return held_out


def require_identities(source: IdentitySource) -> None:
    """Raise :class:`~baimu.errors.DataError` where there are no two identities to tell apart."""
    if len(source.classes) < 2:
        names = ", ".join(source.classes) or "none"
        raise DataError(
            f"{getattr(source, 'root', source)}: shows fewer than two identities ({names}) to learn from; give a "
            "folder for each identity, or hold out fewer"
        )
