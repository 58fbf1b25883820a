"""The public checkpoints of every method, by ``name.tag``: what is known of each, and the way to its file.

The facts are data (``catalog.json``, and ``imagenet.json`` for classifiers); what a publisher does not state is absent.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from baimu.errors import CheckpointError, DownloadError, unknown
from baimu.weights.cache import Part, cache_folder, digest, fits

if TYPE_CHECKING:
    from baimu.preprocess import Preprocess

Commercial = Literal["yes", "no", "unknown"]
_FILE_ENDINGS = {"pth", "pt", "safetensors", "pkl", "bin", "ckpt"}


@dataclass(frozen=True)
class Entry:
    """One public checkpoint."""

    tag: str  # "fcos_r50_fpn.coco", by which it is asked for
    source: str  # whose file it is: the name of a source of key tables
    url: str
    input: dict[str, Any]  # fields of Preprocess with which the published figures are reached
    classes: tuple[str, ...]  # in the order of the labels
    metrics: dict[str, float]  # published; percent, of the validation set of the data trained on last
    trained_on: tuple[str, ...]  # data sets, the last one last
    sha256: str = ""  # 64 hexadecimal digits, or as many of the first as are published
    arguments: dict[str, Any] = field(default_factory=dict)  # of the model, beyond what its source always needs
    size: float | None = None  # MiB
    config: str | None = None  # what the publisher calls it
    epochs: int | None = None
    own_licence: str | None = None  # where it is not that of the source's other files

    @property
    def name(self) -> str:
        """Name of the model in the zoo."""
        return self.tag.partition(".")[0]

    @property
    def file(self) -> str:
        """The publisher's own file name."""
        return self.url.rpartition("/")[2]

    @property
    def path(self) -> Path:
        """Where the file lies, or would lie, in the cache: those of Hugging Face, all of one name, by repository."""
        hub = re.match(r"https://huggingface\.co/[^/]+/([^/]+)/", self.url)
        return cache_folder() / self.source / (hub[1] if hub else "") / self.file

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes the input that the parameters were trained with."""
        from baimu.preprocess import Preprocess

        return Preprocess.from_dict(self.input)

    @property
    def licence(self) -> str:
        """The publisher's licence (SPDX, or ``unknown``)."""
        return self.own_licence or _document()["sources"][self.source]["licence"]

    @property
    def commercial(self) -> bool | None:
        """Whether commercial use is allowed: False, where the licence forbids it; True, where the licence allows it and
        so do the terms of all data trained on; None, where the one allows it and the other leaves it open."""
        document = _document()
        licence = document["licences"][self.licence]["commercial"]
        data = [document["trained_on"][name]["commercial"] for name in self.trained_on]
        return licence if licence is not True else True if all(data) else None

    @property
    def terms(self) -> dict[str, str]:
        """The reasons for :attr:`commercial`: for the source and each data set its page and what it says."""
        document = _document()
        source = document["sources"][self.source]
        data = [document["trained_on"][name] for name in self.trained_on]
        return {
            source["title"]: f"{self.licence}. {source['note']} {source['page']}",
            **{row["title"]: f"{row['terms']}. {row['page']}" for row in data},
        }


class Verified(NamedTuple):
    """What :func:`verify` found of one entry."""

    tag: str
    state: Literal["right", "wrong", "unknown", "unfinished", "absent"]  # unknown: nobody published a hash
    path: Path
    sha256: str | None  # of the file that is there


def entry(tag: str) -> Entry:
    """The entry of a tag; an unknown one raises :class:`~baimu.errors.UnknownNameError` with the nearest."""
    if tag not in _entries():
        raise unknown("weights", tag, _entries(), listed="baimu weights list")
    return _entries()[tag]


def entries(
    pattern: str = "*",
    *,
    model: str | None = None,
    source: str | None = None,
    licence: str | None = None,
    commercial: Commercial | None = None,
) -> list[Entry]:
    """Entries whose tag matches a shell pattern (``"fcos*"``) and that pass every filter given, sorted by tag.

    ``model``: its name in the zoo. ``licence``: SPDX. ``commercial``: see :attr:`Entry.commercial`. A model, source or
    licence that does not exist raises :class:`~baimu.errors.UnknownNameError`; a model without weights gives none.
    """
    from baimu.zoo import list_models

    every = _entries().values()
    for kind, asked, known in (
        ("model", model, {e.name for e in every} | set(list_models())),
        ("source of weights", source, _document()["sources"]),
        ("licence", licence, _document()["licences"]),
    ):
        if asked is not None and asked not in known:
            raise unknown(kind, asked, known)
    answers = {"yes": True, "no": False, "unknown": None}
    if commercial is not None and commercial not in answers:
        raise unknown("answer for commercial", commercial, answers)
    return [
        e
        for e in sorted(every, key=lambda e: e.tag)
        if fnmatch.fnmatchcase(e.tag, pattern)
        and model in (None, e.name)
        and source in (None, e.source)
        and licence in (None, e.licence)
        and (commercial is None or e.commercial is answers[commercial])
    ]


@functools.cache
def class_names(data: str) -> tuple[str, ...]:
    """Names of the classes of a data set in the order of the labels: ``"imagenet"`` has 1000, ``"coco"`` 80;
    ``"coco_0_90"`` and ``"coco_1_90"`` have a place for every category id from 0 or 1 on, as some networks do."""
    return tuple(_document()["classes"][data])


def is_tag(text: str) -> bool:
    """Whether ``text`` asks for published weights: a tag, or a name of the catalogue and a tag that it does not have.

    A name with the ending of a file (``fcos_r50_fpn.pth``) asks for that file.
    """
    from baimu.zoo import list_models

    name, _, tag = text.partition(".")
    names = {e.name for e in _entries().values()} | set(list_models())
    return name in names and tag != "" and tag not in _FILE_ENDINGS


def published(path: Path) -> Entry | None:
    """The entry whose file this is: it has its publisher's name, which says a hash, and that hash."""
    named = (e for e in _entries().values() if e.file == path.name and e.sha256 and path.is_file())
    return next((e for e in named if fits(path, e.sha256)), None)


def resolve(tag: str) -> Path:
    """The file of a tag, checked against its published hash; fetched first if it is not in the cache.

    Raises :class:`~baimu.errors.CheckpointError`: if the file in the cache is damaged; if it is absent and cannot be
    fetched, or may not (``BAIMU_OFFLINE``), with what to fetch, where from, and where to put it.
    """
    wanted = entry(tag)
    if not wanted.path.exists():
        return fetch(tag)
    if wanted.sha256 and not fits(wanted.path, wanted.sha256):
        raise CheckpointError(
            f"{wanted.path}: is not the file that was published as {tag} (sha256 {digest(wanted.path)}, expected "
            f"{_expected(wanted)}); fetch it again: baimu weights fetch {tag}"
        )
    return wanted.path


def fetch(tag: str) -> Path:
    """Download the file of a tag into the cache, unless it is there already; progress is shown on stderr.

    A file in the cache that is not the published one is replaced. Raises :class:`~baimu.errors.DownloadError`, which
    says how to get the file without this machine's network.
    """
    from baimu.weights.download import download, is_offline
    from baimu.weights.progress import shown

    wanted = entry(tag)
    path = wanted.path
    if path.exists() and (not wanted.sha256 or fits(path, wanted.sha256)):
        return path
    if is_offline():
        raise DownloadError(f"{tag}: not in the cache, and BAIMU_OFFLINE forbids the network.\n{_by_hand(wanted)}")
    try:
        with shown(path.name) as report:
            return download(wanted.url, path, sha256=wanted.sha256 or None, report=report)
    except DownloadError as error:
        raise DownloadError(f"{error}\n{_by_hand(wanted)}") from error.__cause__


def verify(tag: str | None = None) -> list[Verified]:
    """Compare the file of a tag with its published hash, or without a tag every file of the catalogue in the cache."""
    if tag is not None:
        return [_verified(entry(tag))]
    found = (_verified(e) for e in _entries().values() if e.path.exists() or Part(e.path).path.exists())
    return sorted(found)


def _verified(wanted: Entry) -> Verified:
    path = wanted.path
    if not path.exists():
        return Verified(wanted.tag, "unfinished" if Part(path).path.exists() else "absent", path, None)
    found = digest(path)
    state = "unknown" if not wanted.sha256 else "right" if found.startswith(wanted.sha256) else "wrong"
    return Verified(wanted.tag, state, path, found)


def _by_hand(wanted: Entry) -> str:
    return (
        f"To get it without this machine's network:\n"
        f"  fetch   {wanted.url}\n"
        f"  put it  {wanted.path}\n"
        f"  check   baimu weights verify {wanted.tag}   (sha256 {_expected(wanted)})"
    )


def _expected(wanted: Entry) -> str:
    return wanted.sha256 if len(wanted.sha256) == 64 else f"{wanted.sha256}…" if wanted.sha256 else "none is published"


@functools.cache
def _document() -> dict[str, Any]:
    """Both files in one, section by section."""
    whole: dict[str, Any] = {}
    for name in ("catalog.json", "imagenet.json"):
        text = resources.files("baimu.weights").joinpath(name).read_text(encoding="utf-8")
        for section, rows in json.loads(text).items():
            whole.setdefault(section, {}).update(rows)
    return whole


@functools.cache
def _entries() -> dict[str, Entry]:
    return {tag: _read(tag, **row) for tag, row in _document()["weights"].items()}


def _read(
    tag: str,
    *,
    preprocess: str,
    classes: str,
    trained_on: list[str],
    licence: str | None = None,
    input: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Entry:
    """An entry from its row, in which what many rows share stands by name, and ``input`` is what differs from that."""
    return Entry(
        tag=tag,
        input={**_document()["preprocess"][preprocess], **(input or {})},
        classes=class_names(classes),
        trained_on=tuple(trained_on),
        own_licence=licence,
        **facts,
    )
