"""What the fuzzing asks: the reader of images with changed files of every format, and each of our own parsers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np

from tests.hostile.case import encoded, gradient, noise
from tests.hostile.fuzz import Reader
from tests.hostile.mutations import mutated
from tests.hostile.words import changed_json, changed_text
from tests.hostile.written import png

Write = Callable[[int], bytes]
"""The bytes of a parser's file, by the number of the change."""


@cache
def image_seeds() -> dict[str, tuple[str, list[bytes]]]:
    """Of each format its suffix and several good files, small, so that a change meets what matters."""
    from tests.hostile import depths, turned, wrong

    found: dict[str, tuple[str, list[bytes]]] = {}
    for part in (turned, depths):
        for case in part.cases():
            if case.make and case.outcome == "right":
                found.setdefault(case.suffix, (case.suffix, []))[1].append(case.make())
    for suffix, data, _, _ in wrong.whole().values():
        found[suffix][1].append(data)
    return found


def image_readers() -> dict[str, Reader]:
    """One for each format; and label maps, which are read without a change of colours."""
    readers = {suffix: partial(read_image, suffix=suffix, seeds=seeds) for suffix, (_, seeds) in image_seeds().items()}
    maps = [png(noise(channels=1, below=4), colour=0), encoded(noise(below=3)[..., 0], "TIFF")]
    return {**readers, "label map": partial(read_map, seeds=maps)}


def read_image(number: int, folder: Path, *, suffix: str, seeds: list[bytes]) -> None:
    from baimu.datasets.images import decode_image, header_sizes
    from baimu.errors import ImageError

    path = folder / f"changed{suffix}"
    path.write_bytes(mutated(seeds, number))
    try:
        shown, _ = header_sizes(path)
        pixels = decode_image(path)
    except ImageError as error:
        if not str(error).startswith(f"{path}: "):
            raise AssertionError(f"the error does not name the file: {error}") from None
        raise
    assert pixels.shape == (*shown, 3), (pixels.shape, shown)
    assert pixels.dtype == np.uint8


def read_map(number: int, folder: Path, *, seeds: list[bytes]) -> None:
    from baimu.datasets.map_code import read_pixels

    path = folder / "map.png"
    path.write_bytes(mutated(seeds, number))
    read_pixels(str(path), colours=number % 2 == 0)


# Parsers --------------------------------------------------------------------------------------------------------------


def text_or_bytes(text: str, change: Callable[[str, random.Random], str], number: int) -> bytes:
    """Changed as its grammar has it, and for every third number as bytes."""
    if number % 3 == 2:
        return mutated([text.encode()], number)
    return change(text, random.Random(number)).encode("utf-8", "surrogatepass")


def read_data(
    number: int,
    folder: Path,
    *,
    file: str,
    text: str,
    change: Callable[[str, random.Random], str],
    kind: str,
    at: str,
    beside: Mapping[str, str] | None = None,
) -> None:
    """A data set with one changed file, opened and gone through."""
    from baimu.datasets.open import open_source

    root = folder / kind
    for name, content in (beside or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for place in (
        "images/a.png",
        "images/b.png",
        "JPEGImages/a.png",
        "JPEGImages/b.png",
        "img1/000001.png",
        "a/000001.png",
    ):
        image = root / place
        if not image.exists():
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(png(gradient()))
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_bytes(text_or_bytes(text, change, number))
    options = {"masks": True} if kind == "detection" else {}
    source = open_source(root / at, kind=kind, **options)
    for i in range(len(source)):
        source.name(i)
        if kind == "detection":
            source.objects(i)
    [str(problem) for problem in source.problems]


def read_file(number: int, folder: Path, *, name: str, make: Write, read: Callable[[Path], object]) -> None:
    for image in ("a.png", "b.png"):
        if not (folder / image).exists():
            (folder / image).write_bytes(png(gradient()))
    path = folder / name
    path.write_bytes(make(number))
    read(path)


_OBJECT = {"image_id": 1, "category_id": 7, "bbox": [0, 0, 40, 24], "area": 9, "iscrowd": 0}
COCO = json.dumps(
    {
        "images": [{"id": i, "file_name": f"{n}.png", "height": 24, "width": 40} for i, n in enumerate("ab")],
        "annotations": [
            {**_OBJECT, "id": 1, "image_id": 0, "category_id": 1, "segmentation": [[1, 2, 11, 2, 11, 14]]},
            {**_OBJECT, "id": 2, "iscrowd": 1, "segmentation": {"size": [24, 40], "counts": [0, 960]}},
            {**_OBJECT, "id": 3, "segmentation": {"size": [24, 40], "counts": "0PN0"}},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}],
    }
)
VOC = (
    "<annotation><filename>a.png</filename><size><width>40</width><height>24</height><depth>3</depth></size>"
    "<object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>20</xmax>"
    "<ymax>20</ymax></bndbox></object></annotation>"
)
YOLO = "0 0.5 0.5 0.2 0.3\n1 0.1 0.2 0.1 0.1\n0 0.1 0.1 0.9 0.1 0.9 0.9 0.5 0.7\n"
YAML = "path: .\ntrain: images\nval: images\nnc: 2\nnames: {0: cat, 1: dog}\n"
CSV = "image,label\nimages/a.png,cat\nimages/b.png,dog\n"
MOT = "1,1,10,20,30,40,1,1,1\n2,1,11,21,30,40,0.5,1,0.5\n3,-1,1,2,3,4,0.9\n"
INI = "[Sequence]\nname=one\nimDir=img1\nframeRate=30\nseqLength=1\nimWidth=40\nimHeight=24\nimExt=.png\n"


def parser_readers() -> dict[str, Reader]:
    from baimu.datasets.formats.class_files import read_classes
    from baimu.datasets.formats.idx import read_array
    from baimu.datasets.formats.line_list import read_line_list
    from baimu.datasets.formats.mot import open_sequence, read_mot
    from baimu.datasets.formats.sequences import read_boxes
    from baimu.datasets.formats.text_list import read_text_list
    from baimu.text.grammar import read_lines
    from baimu.weights.archive import read_archive
    from baimu.weights.stored import read_stored
    from tests.datasets.files import idx_bytes

    coco = {"file": "coco.json", "text": COCO, "kind": "detection", "at": "coco.json"}
    boxes = partial(read_data, change=changed_text, kind="detection")
    readers: dict[str, Reader] = {
        "coco": partial(read_data, change=changed_json, **coco),
        "coco as text": partial(read_data, change=changed_text, **coco),
        "voc": partial(boxes, file="Annotations/a.xml", text=VOC, at=".", beside={"Annotations/b.xml": VOC}),
        "yolo rows": partial(boxes, file="labels/a.txt", text=YOLO, at="data.yaml", beside={"data.yaml": YAML}),
        "yolo yaml": partial(boxes, file="data.yaml", text=YAML, at="data.yaml", beside={"labels/a.txt": YOLO}),
        "csv": partial(read_data, file="list.csv", text=CSV, change=changed_text, kind="classification", at="list.csv"),
    }
    texts: dict[str, tuple[str, str, Callable[[Path], object]]] = {
        "mot rows": ("gt.txt", MOT, read_mot),
        "boxes of a sequence": ("groundtruth.txt", "1,2,10,20\n2\t3\t10\t20\n0,0,1,1,2,2,3,3\n", read_boxes),
        "classes": ("label_colors.txt", "64 128 64 animal\n192 0 128 road\n0 0 0 void\n", read_classes),
        "lines": ("list.txt", "a.png hello world\nb.png 百目\n", read_line_list),
        "texts": ("list.tsv", "text\tlabel\ngood film\tpos\nbad film\tneg\n", read_text_list),
        "lexicon": ("words.txt", "one\ntwo\nthree\n", read_lines),
        "word vectors": ("vectors.txt", "2 3\nof 0.1 0.2 0.3\nthe 1 2 3\n", two_words),
    }
    for name, (file, text, read) in texts.items():
        make = partial(text_or_bytes, text, changed_text)
        readers[name] = partial(read_file, name=file, make=make, read=read)
    idx = [idx_bytes(np.arange(60, dtype=np.uint8).reshape(2, 6, 5)), idx_bytes(np.arange(4, dtype=np.int64), 12)]
    tensors = tensor_files()
    bytes_of: dict[str, tuple[str, list[bytes], Callable[[Path], object]]] = {
        "idx": ("train-images-idx3-ubyte", idx, read_array),
        "weights of strangers": ("w.safetensors", tensors, read_stored),
        "checkpoint": ("last.safetensors", tensors, read_archive),
    }
    for name, (file, seeds, read) in bytes_of.items():
        readers[name] = partial(read_file, name=file, make=partial(mutated, seeds), read=read)
    readers["sequence"] = partial(read_sequence, open_sequence=open_sequence)
    return {**readers, "settings": read_settings, "run lengths": read_runs}


def two_words(path: Path) -> object:
    from baimu.weights.word_vectors import read_word_vectors

    return read_word_vectors(path, ["of", "the"])


def tensor_files() -> list[bytes]:
    import tempfile

    import torch
    from safetensors.torch import save

    from baimu.weights.archive import write_archive

    tensors = {"a": torch.arange(4.0), "b": torch.ones(2, 3, dtype=torch.int64)}
    with tempfile.TemporaryDirectory() as folder:
        write_archive(Path(folder) / "a.safetensors", tensors, {"format": 1, "classes": ["cat"]})
        own = (Path(folder) / "a.safetensors").read_bytes()
    return [save(tensors, {"format": "pt"}), own]


def read_sequence(number: int, folder: Path, *, open_sequence: Callable[[Path], object]) -> None:
    image = folder / "one" / "img1" / "000001.png"
    if not image.exists():
        image.parent.mkdir(parents=True)
        image.write_bytes(png(gradient()))
    (folder / "one" / "seqinfo.ini").write_bytes(text_or_bytes(INI, changed_text, number))
    open_sequence(folder / "one")


def read_settings(number: int, folder: Path) -> None:
    """``key=value`` words of the command line, and the recipe they make."""
    from baimu.cli.settings import parse_settings
    from baimu.recipes import Recipe

    del folder
    text = "epochs=12 lr=0.01 batch_size=16 optimizer=sgd flip=0.5 ema_decay=0.99 scale_jitter=0.5,2 seed=1"
    words = changed_text(text, random.Random(number)).split()
    Recipe().replace(**parse_settings(words))


def read_runs(number: int, folder: Path) -> None:
    """The compressed run lengths of a mask, in a COCO file."""
    rng = random.Random(number)
    length, known = rng.randint(0, 30), "0PN0"
    text = "".join(chr(rng.randint(40, 120)) if number % 2 else rng.choice(known) for _ in range(length))
    held = COCO.replace(known, json.dumps(text)[1:-1])
    read_data(3 * number, folder, file="coco.json", text=held, change=_same, kind="detection", at="coco.json")


def _same(text: str, rng: random.Random) -> str:
    del rng
    return text
