"""How the pixels of a label-map file say a class: by a value, or by a colour."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from baimu.datasets.decoders import load, open_image
from baimu.datasets.flat import ProblemLog
from baimu.datasets.formats.class_files import NamedClass
from baimu.errors import DataError, ImageError
from baimu.targets import UNDECIDED

VOID = {"void", "ignore", "ignored", "unlabeled", "unlabelled", "undecided"}
"""Classes of these names are no classes: their pixels are undecided."""

SURVEYED = 500
"""So many maps, evenly spaced, tell what a data set's pixels hold."""

MOST = UNDECIDED  # classes: labels are 0…254


@dataclass(frozen=True, eq=False)
class MapCode:
    """The label of each pixel value, or with ``colours`` of each colour (65536 r + 256 g + b)."""

    values: np.ndarray  # (n,) int64, ascending
    labels: np.ndarray  # (n,) uint8
    colours: bool

    def read(self, file: str) -> np.ndarray:
        """(H, W) uint8 labels of a map file. Raises :class:`~baimu.errors.DataError` for a file that cannot be read,
        and for a value that stands for nothing."""
        pixels = read_pixels(file, colours=self.colours)
        if pixels.dtype == np.uint8:
            found = self._table[pixels]
            if found.min(initial=0) < 0:
                raise self._strange(file, pixels, found < 0)
            return found.astype(np.uint8)
        place = np.searchsorted(self.values, pixels).clip(max=len(self.values) - 1)
        strange = self.values[place] != pixels
        if strange.any():
            raise self._strange(file, pixels, strange)
        return self.labels[place]

    @functools.cached_property
    def _table(self) -> np.ndarray:
        table = np.full(256, -1, np.int16)
        small = self.values < 256
        table[self.values[small]] = self.labels[small]
        return table

    def _strange(self, file: str, pixels: np.ndarray, strange: np.ndarray) -> DataError:
        y, x = (int(i) for i in np.argwhere(strange)[0])
        count, shown = int(strange.sum()), written(int(pixels[y, x]), self.colours)
        return DataError(
            f"{file}: {count:,} pixels, the first at ({x}, {y}), have {shown}, which is no class; add it to the class "
            f"file, or make them undecided ({'a class called void' if self.colours else '255'}). Maps that were saved "
            "as JPEG or resized smoothly have such values at their borders: save them as PNG, resize by nearest pixel",
            "M206",
        )

    def with_labels(self, place: np.ndarray) -> MapCode:
        """Label ``k`` becomes ``place[k]``."""
        whole = np.append(place, np.full(256 - len(place), UNDECIDED))
        return replace(self, labels=whole[self.labels].astype(np.uint8))

    def like(self, other: MapCode) -> bool:
        """Whether both say the same."""
        pairs = ((self.values, other.values), (self.labels, other.labels))
        return self.colours == other.colours and all(np.array_equal(a, b) for a, b in pairs)


def read_pixels(file: str, *, colours: bool) -> np.ndarray:
    """(H, W): the values of a grey or palette picture (uint8, or int64 of 16 bits), or packed colours (int64)."""
    try:
        with open_image(file, file) as picture:
            load(picture)
            if colours:
                rgb = np.asarray(picture.convert("RGB")).astype(np.int64)
                return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
            pixels = np.asarray(picture)
    except Exception as error:  # of a damaged file as in decode_image
        reason = str(error).removeprefix(f"{file}: ")
        raise DataError(
            f"{file}: cannot be read as a label map ({reason}); restore it, or remove it with its image",
            "M205",
        ) from None
    if pixels.ndim == 3:
        grey = pixels[..., :1] if pixels.shape[2] < 3 else pixels[..., :3]
        if not (grey == grey[..., :1]).all():
            raise DataError(
                f"{file}: is a colour picture, other maps of the data set are not; "
                "save all as values or all as colours",
                "M206",
            )
        pixels = grey[..., 0]
    return pixels.astype(np.uint8 if pixels.dtype.itemsize == 1 else np.int64)


def written(value: int, colours: bool) -> str:
    """A value for people."""
    return f"the colour {value >> 16} {value >> 8 & 255} {value & 255}" if colours else f"the value {value}"


@dataclass(frozen=True)
class Survey:
    """What some maps of a data set hold."""

    colours: bool  # classes are told by colours
    values: tuple[int, ...]  # all that were seen, ascending


def survey(files: list[str]) -> Survey:
    """Look at up to :data:`SURVEYED` maps. Files that cannot be read are passed over: reading them will tell."""
    chosen = np.unique(np.linspace(0, len(files) - 1, SURVEYED).round().astype(int)).tolist() if files else []
    colours, values = False, np.zeros(0, np.int64)
    for i in chosen:
        try:
            seen = np.unique(read_pixels(files[i], colours=colours))
        except DataError:
            if colours or not _is_colour(files[i]):
                continue
            return survey_colours([files[k] for k in chosen])
        values = np.union1d(values, seen)
    return Survey(colours, tuple(values.tolist()))


def survey_colours(files: list[str]) -> Survey:
    """The colours of all ``files``."""
    values = np.zeros(0, np.int64)
    for file in files:
        values = np.union1d(values, np.unique(read_pixels(file, colours=True)))
    return Survey(True, tuple(values.tolist()))


def _is_colour(file: str) -> bool:
    try:
        with open_image(file, file) as picture:
            return picture.mode in ("RGB", "RGBA")
    except ImageError:
        return False


def code_of(root: str, named: Sequence[NamedClass], seen: Survey, log: ProblemLog) -> tuple[tuple[str, ...], MapCode]:
    """Classes and code from a class file (empty: there is none) and from what maps hold; what is assumed is logged.

    Without a class file, values are classes from 0 on, 0 called background. Values 0 and 255 alone are two classes.
    Where a class file names all values but 0, that is background. Raises :class:`~baimu.errors.DataError` for colours
    without a class file that names them.
    """
    if seen.colours or (named and all(row.colour is not None for row in named) and max(seen.values, default=0) > 255):
        return _by_colour(root, named, seen)
    values = set(seen.values)
    rows = [(row.value if row.value is not None else i, row.name) for i, row in enumerate(named)]
    if values == {0, UNDECIDED} and len(rows) <= 2 and UNDECIDED not in dict(rows):
        names = [name for _, name in rows] or ["foreground"]
        names = names if len(names) == 2 else ["background", *names]
        rows = list(zip((0, UNDECIDED), names, strict=True))
        log.add(
            root, "label maps", "have the values 0 and 255 alone", f"255 taken as the class {names[1]!r}", code="M208"
        )
    elif not rows:
        most = max(values - {UNDECIDED}, default=0)
        rows = [(value, f"class {value}" if value else "background") for value in range(most + 1)]
        taken = f"its values 0…{most} taken as classes; write classes.txt to name them"
        log.add(root, "", "has no class file", taken, code="M207")
    elif len(rows) in values and all(row.value is None for row in named) and len(rows) != UNDECIDED:
        said = f"names {len(rows)} classes, and maps have values up to {len(rows)}"
        log.add(root, "class file", said, "0 taken as background", code="M209")
        rows = [(0, "background"), *((i + 1, name) for i, (_, name) in enumerate(rows))]
    return _coded(root, rows, colours=False)


def _by_colour(root: str, named: Sequence[NamedClass], seen: Survey) -> tuple[tuple[str, ...], MapCode]:
    if any(row.colour is None for row in named) or not named:
        found = ", ".join(written(value, True).removeprefix("the colour ") for value in seen.values[:12])
        raise DataError(
            f"{root}: its label maps are colour pictures; say what the colours mean in label_colors.txt, one class a "
            f"line as 128 64 128 road (found: {found}{', …' if len(seen.values) > 12 else ''})",
            "M212",
        )
    return _coded(root, [(row.colour or 0, row.name) for row in named], colours=True)


def _coded(root: str, rows: Sequence[tuple[int, str]], *, colours: bool) -> tuple[tuple[str, ...], MapCode]:
    real = [row for row in rows if row[1].lower() not in VOID]
    if not real or len(real) > MOST:
        raise DataError(f"{root}: has {len(real)} classes; a label map has 1 to {MOST}")
    codes = {value: label for label, (value, _) in enumerate(real)}
    codes |= {value: UNDECIDED for value, name in rows if name.lower() in VOID}
    if not colours:
        codes.setdefault(UNDECIDED, UNDECIDED)
    order = sorted(codes)
    labels = np.array([codes[value] for value in order], np.uint8)
    return tuple(name for _, name in real), MapCode(np.array(order, np.int64), labels, colours)
