"""From what a user names, a path or ``playground``, to data sets: format recognised, splits found or made."""

from __future__ import annotations

import difflib
import os
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from baimu.datasets.formats.csv_columns import split_options
from baimu.datasets.kinds import ASKED, KINDS, LAST, Found
from baimu.datasets.source import ImageSource, Splits, TextSource
from baimu.errors import DataError, nearest_path, unknown

Source = str | os.PathLike[str] | ImageSource | Splits


def open_data(
    source: Source,
    *,
    kind: str = "detection",
    val: Source | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
    **options: Any,
) -> Splits:
    """Open a data set for training.

    ``source`` is recognised by itself. For the ``kind`` ``detection``: a COCO .json or folder, a VOC or YOLO folder, a
    YOLO ``data.yaml``, ``"playground"`` or ``"playground:train=1000,val=200,size=160,seed=0"``. For ``classification``:
    a folder of class folders, a list (:mod:`baimu.datasets.formats.csv_list`), idx files. Or an opened source or
    :class:`Splits`. Validation images are, in this order:

    - ``val``, a data set of its own, whose classes are matched by name;
    - with ``val_fraction``, that share of *all* images found (test ones too), drawn by ``seed`` alone;
    - the splits that stand in the data: train and val, else trainval or train against test;
    - a fifth of the images, drawn by ``seed``.

    Images are drawn evenly from all classes where each has labels. ``options`` are those of the kind: for ``detection``
    ``masks``, which keeps polygons and run lengths where the format has them. Raises :class:`~baimu.errors.DataError`.
    """
    if isinstance(source, Splits):
        for part in source:
            _check_kind(part, kind)
        opened = source
    else:
        opened = _opened(source, kind, val, val_fraction, seed, options)
    if require := KINDS[kind].require:
        require(opened.train)
    return opened


def _opened(
    source: Source, kind: str, val: Source | None, val_fraction: float | None, seed: int, options: dict[str, Any]
) -> Splits:
    found, match = _found(source, kind, options), KINDS[kind].match
    if val is not None:
        train = _one(found, ("train", "trainval", "all"), source)
        return Splits(train, match(open_source(val, kind=kind, **options), train))
    if val_fraction is None:
        for first, second in (("train", "val"), ("trainval", "test"), ("train", "test")):
            if first in found and second in found:
                train = found[first]()
                return Splits(train, match(found[second](), train))
    fraction = 0.2 if val_fraction is None else val_fraction
    return _drawn(_whole(found, source), fraction, seed, kind)


def open_source(source: Source, split: str | None = None, *, kind: str = "detection", **options: Any) -> ImageSource:
    """One data set, to be measured on or looked at: the named ``split``, else val, else test, else all there is."""
    found = {"train": lambda: source.train, "val": lambda: source.val} if isinstance(source, Splits) else None
    found = found or _found(source, kind, options)
    if split is None:
        return _one(found, ("val", "test", "all", "train", "trainval"), source)
    if split not in found:
        raise unknown(f"split of {source}", split, found)
    return found[split]()


def splits(source: Source, *, kind: str | None = None, **options: Any) -> dict[str, Any]:
    """Every split found in a data set, by name; those that only repeat others left out. Without ``kind``, of whatever
    kind it is."""
    if isinstance(source, Splits):
        return {"train": source.train, "val": source.val}
    return {name: read() for name, read in alone(_found(source, kind, options)).items()}


def alone(found: Found) -> Found:
    """Without the splits that only repeat others."""
    doubled = {"all"} if len(found) > 1 else set()
    if {"train", "val"} <= found.keys():
        doubled.add("trainval")
    return {name: read for name, read in found.items() if name not in doubled}


class Recognised(NamedTuple):
    """What a path is: its kind of data, what read it as that, and its splits."""

    kind: str
    format: str  # the name of what found it, "find_coco"; empty for what is no file
    found: Found


def _found(source: Any, kind: str | None, options: dict[str, Any]) -> Found:
    return recognise(source, kind, options).found


def recognise(source: Any, kind: str | None = None, options: dict[str, Any] | None = None) -> Recognised:
    """The kind, format and splits of what a user names. Raises :class:`~baimu.errors.DataError` for nothing known."""
    options = options or {}
    if kind is not None and kind not in KINDS:
        raise unknown("kind of data", kind, KINDS)
    if isinstance(source, ImageSource | TextSource):
        _check_kind(source, kind)
        return Recognised(kind or _kind_of(source), "", {"all": lambda: source})
    if not isinstance(source, str | os.PathLike) or not os.fspath(source):
        raise DataError(f"the data must be a path, 'playground' or a data set, not {source!r}")
    if isinstance(source, str) and source.partition(":")[0] == "playground":
        draw = KINDS[kind or "detection"].playground
        if draw is None:
            raise DataError(f"playground: has nothing for {kind} yet; give data of your own, {_looked_for(kind)}")
        return Recognised(kind or "detection", "", draw(source))
    path = Path(source).expanduser()
    file = split_options(path)[0]
    if not file.exists():
        raise _absent(str(source), file)
    for of_kind, find in _formats(kind):
        found = KINDS[of_kind].find(find, path, options)
        if found and kind not in (None, of_kind):
            raise DataError(f"{file}: is a data set for {of_kind}, and this model is for {kind}; {_looked_for(kind)}")
        if found:
            return Recognised(of_kind, find.__name__, found)
    if file.is_dir() and not any(file.iterdir()):
        raise DataError(f"{file}: the folder is empty; {_looked_for(kind)}")
    raise DataError(f"{file}: is no data set that can be recognised; {_looked_for(kind)}")


def _absent(source: str, file: Path) -> DataError:
    if "://" in source:
        return DataError(f"{source}: is an address; download the data, unpack them and give the folder")
    if difflib.get_close_matches(source, ["playground"]):
        return DataError(f"{source}: there is no such file or folder; did you mean playground?")
    near = nearest_path(file) or f"; check the path (it is read from {Path.cwd()})"
    return DataError(f"{file}: there is no such file or folder{near}")


def _kind_of(source: ImageSource | TextSource) -> str:
    return next((name for name, kind in KINDS.items() if isinstance(source, kind.source)), "images")


def _formats(kind: str | None) -> list[tuple[str, Any]]:
    """Those of the kind that is asked for first, but the ones that nearly any folder has last."""
    every = [(name, find) for name, of_kind in KINDS.items() for find in of_kind.formats if _asked(find, name, kind)]
    return sorted(every, key=lambda f: (f[1] in LAST, kind not in (None, f[0])))


def _asked(find: Any, name: str, kind: str | None) -> bool:
    return find not in ASKED or kind in (None, name)


def _looked_for(kind: str | None) -> str:
    return "looked for" + "".join(of_kind.looked_for for name, of_kind in KINDS.items() if kind in (None, name))


def _check_kind(source: ImageSource | TextSource, kind: str | None) -> None:
    if kind is not None and not isinstance(source, KINDS[kind].source):
        raise DataError(f"{source!r}: is no data set for {kind}; give one whose images have what this model learns")


def _one(found: Found, names: tuple[str, ...], source: Source) -> Any:
    for name in names:
        if name in found:
            return found[name]()
    raise DataError(f"{source}: has the splits {', '.join(found)}, but none of {', '.join(names)}")


def _whole(found: Found, source: Source) -> Any:
    """All images of a source: everything at once where the format reads so, else its splits one after the other."""
    if "all" in found:
        return found["all"]()
    parts = [read() for name, read in found.items() if name != "trainval"]
    whole = parts[0]
    for part in parts[1:]:
        if not hasattr(whole, "joined"):
            raise DataError(f"{source}: has its own splits; leave val_fraction away")
        whole = whole.joined(part)
    return whole


def _drawn(whole: Any, fraction: float, seed: int, kind: str) -> Splits:
    if not (isinstance(fraction, Real) and 0 < fraction < 1):
        raise DataError(f"val_fraction must lie between 0 and 1, got {fraction!r}; 0.2 holds a fifth out")
    if len(whole) < 2:
        raise DataError(
            f"{getattr(whole, 'root', 'the data')}: {len(whole)} image cannot be split into training and validation; "
            "give both, or more images"
        )
    count = min(max(round(len(whole) * fraction), 1), len(whole) - 1)
    return Splits(*(whole.select(part.tolist()) for part in KINDS[kind].part(whole, count, seed)))
