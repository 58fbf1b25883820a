"""Small clean data sets in every format, with a place for each fault: train has ten images, val five."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 60, 40
CLASSES = ("cat", "dog", "bird")
TRAIN, VAL = 10, 5


@cache
def picture(seed: int, size: tuple[int, int] = (HEIGHT, WIDTH), format: str = "JPEG") -> bytes:
    """Coarse noise, so that no two pictures look alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BILINEAR).save(file, format)
    return file.getvalue()


def put(file: Path, data: bytes | str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return file


def seed_of(split: str, index: int) -> int:
    return index + (1000 if split == "val" else 0)


def boxes(index: int) -> list[tuple[float, float, float, float]]:
    """Three boxes x, y, width, height of an image, one a class."""
    return [(2 + 18 * k + index % 3, 5 + index % 4, 14, 20) for k in range(3)]


SPLITS = (("train", TRAIN), ("val", VAL))


def coco(root: Path, *, masks: bool = False) -> Path:
    for split, count in SPLITS:
        images, annotations = [], []
        for i in range(count):
            put(root / "images" / split / f"{i}.jpg", picture(seed_of(split, i)))
            images.append({"id": i + 1, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT})
            for k, (x, y, w, h) in enumerate(boxes(i)):
                row: dict[str, Any] = {"id": 10 * i + k + 1, "image_id": i + 1, "category_id": k + 1, "iscrowd": 0}
                row |= {"bbox": [x, y, w, h], "area": w * h}
                if masks:
                    row["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
                annotations.append(row)
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)]
        data = {"info": {"year": 2026}, "images": images, "annotations": annotations, "categories": categories}
        put(root / "annotations" / f"instances_{split}.json", json.dumps(data))
    return root


def coco_masks(root: Path) -> Path:
    return coco(root, masks=True)


def voc(root: Path, *, masks: bool = False) -> Path:
    for split, count in SPLITS:
        stems = [f"{split}{i}" for i in range(count)]
        for i, stem in enumerate(stems):
            put(root / "JPEGImages" / f"{stem}.jpg", picture(seed_of(split, i)))
            things = "".join(
                f"<object><name>{CLASSES[k]}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin>"
                f"<ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>\n"
                for k, (x, y, w, h) in enumerate(boxes(i))
            )
            size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
            put(root / "Annotations" / f"{stem}.xml", f"<annotation>{size}\n{things}</annotation>")
            if masks:
                values = np.zeros((HEIGHT, WIDTH), np.uint8)
                for k, (x, y, w, h) in enumerate(boxes(i)):
                    values[int(y) : int(y + h), int(x) : int(x + w)] = k + 1
                (root / "SegmentationObject").mkdir(exist_ok=True)
                Image.fromarray(values).save(root / "SegmentationObject" / f"{stem}.png")
        for folder in ("Main", "Segmentation") if masks else ("Main",):
            put(root / "ImageSets" / folder / f"{split}.txt", "".join(f"{stem}\n" for stem in stems))
    put(root / "classes.txt", "".join(f"{name}\n" for name in CLASSES))
    return root


def voc_masks(root: Path) -> Path:
    return voc(root, masks=True)


def yolo_line(k: int, box: tuple[float, float, float, float]) -> str:
    x, y, w, h = box
    return f"{k} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT}"


def yolo(root: Path) -> Path:
    for split, count in SPLITS:
        for i in range(count):
            put(root / "images" / split / f"{i}.jpg", picture(seed_of(split, i)))
            lines = "".join(f"{yolo_line(k, box)}\n" for k, box in enumerate(boxes(i)))
            put(root / "labels" / split / f"{i}.txt", lines)
    put(root / "data.yaml", f"train: images/train\nval: images/val\nnames: [{', '.join(CLASSES)}]\n")
    return root


def yolo_lists(root: Path) -> Path:
    yolo(root)
    for split, count in SPLITS:
        put(root / f"{split}.txt", "".join(f"images/{split}/{i}.jpg\n" for i in range(count)))
    put(root / "data.yaml", f"train: train.txt\nval: val.txt\nnames: [{', '.join(CLASSES)}]\n")
    return root


def folders(root: Path) -> Path:
    for split, count in SPLITS:
        for i in range(2 * count):
            name = CLASSES[i % 2]
            put(root / split / name / f"{i}.jpg", picture(seed_of(split, i)))
    return root


def csv_list(root: Path) -> Path:
    for split, count in SPLITS:
        rows = ["image,label"]
        for i in range(count):
            put(root / "images" / split / f"{split}{i}.jpg", picture(seed_of(split, i)))
            rows.append(f"images/{split}/{split}{i}.jpg,{CLASSES[i % 2]}")
        put(root / f"{split}.csv", "".join(f"{row}\n" for row in rows))
    put(root / "classes.txt", "cat\ndog\n")
    return root


def csv_flags(root: Path) -> Path:
    csv_list(root)
    (root / "classes.txt").unlink()
    for split, count in SPLITS:
        rows = [f"images/{split}/{split}{i}.jpg,{i % 2},{(i + 1) % 2}" for i in range(count)]
        put(root / f"{split}.csv", "".join(f"{row}\n" for row in ["image,cat,dog", *rows]))
    return root


def map_bytes(index: int, values: tuple[int, ...] = (0, 1, 2), format: str = "PNG") -> bytes:
    array = np.full((HEIGHT, WIDTH), values[0], np.uint8)
    for k, value in enumerate(values[1:]):
        array[5 + index % 4 : 25, 5 + 20 * k : 20 + 20 * k] = value
    file = io.BytesIO()
    Image.fromarray(array).save(file, format)
    return file.getvalue()


def maps(root: Path) -> Path:
    for split, count in SPLITS:
        for i in range(count):
            put(root / split / "images" / f"{i}.jpg", picture(seed_of(split, i)))
            put(root / split / "masks" / f"{i}.png", map_bytes(i))
    put(root / "classes.txt", "background\ncat\ndog\n")
    return root


def mot_row(frame: int, number: int, box: tuple[float, ...], more: str = "1,1,1") -> str:
    return ",".join([str(frame), str(number), *(f"{v:g}" for v in box), more])


def mot(root: Path) -> Path:
    """Two sequences of ten frames with two tracks each; line 2 f - 1 is the first of frame f."""
    for s in range(2):
        rows = []
        for frame in range(1, TRAIN + 1):
            put(root / f"seq{s}" / "img1" / f"{frame:06d}.jpg", picture(100 * s + frame))
            rows += [mot_row(frame, 1, (2 + frame, 3, 10, 12)), mot_row(frame, 2, (40 - frame, 20, 9, 14))]
        put(root / f"seq{s}" / "gt" / "gt.txt", "".join(f"{row}\n" for row in rows))
        about = ["[Sequence]", f"name=seq{s}", "imDir=img1", "frameRate=10", f"seqLength={TRAIN}"]
        about += [f"imWidth={WIDTH}", f"imHeight={HEIGHT}"]
        put(root / f"seq{s}" / "seqinfo.ini", "".join(f"{line}\n" for line in about))
    return root


def sequences(root: Path) -> Path:
    for s in range(2):
        for frame in range(TRAIN):
            put(root / f"seq{s}" / "img" / f"{frame:04d}.jpg", picture(100 * s + frame))
        put(root / f"seq{s}" / "groundtruth.txt", "".join(f"{2 + f},3,10,12\n" for f in range(TRAIN)))
    return root


SUBJECTS = ("the cat", "a dog", "one bird", "my horse", "their cow")
VERBS = ("sleeps", "runs", "eats", "plays", "waits", "sings")


def sentences(split: str, count: int) -> list[tuple[str, str]]:
    rows = []
    for i in range(count):
        text = f"{SUBJECTS[i % 5]} {VERBS[i % 6]} in the {split} garden on day {i}"
        rows.append((("good", "bad")[i % 2], text))
    return rows


def tsv(root: Path) -> Path:
    for split, count in SPLITS:
        put(root / f"{split}.tsv", "".join(f"{label}\t{text}\n" for label, text in sentences(split, 2 * count)))
    return root


def text_csv(root: Path) -> Path:
    for split, count in SPLITS:
        rows = [f'{label},"{text}"\n' for label, text in sentences(split, 2 * count)]
        put(root / f"{split}.csv", "label,text\n" + "".join(rows))
    return root


def text_folders(root: Path) -> Path:
    for split, count in SPLITS:
        for i, (label, text) in enumerate(sentences(split, 2 * count)):
            put(root / split / label / f"{i:03d}.txt", text + "\n")
    return root


def lines(root: Path) -> Path:
    for split, count in SPLITS:
        rows = []
        for i in range(count):
            put(root / "images" / split / f"{i}.png", picture(seed_of(split, i), (16, 48), "PNG"))
            rows.append(f"images/{split}/{i}.png\tWord {i}\n")
        put(root / f"{split}.txt", "".join(rows))
    return root


def line_files(root: Path) -> Path:
    for i in range(TRAIN):
        put(root / f"{i}.png", picture(i, (16, 48), "PNG"))
        put(root / f"{i}.gt.txt", f"Word {i}")
    return root


MAKERS = {
    make.__name__: make
    for make in (
        coco, coco_masks, voc, voc_masks, yolo, yolo_lists, folders, csv_list, csv_flags, maps, mot, sequences,
        tsv, text_csv, text_folders, lines, line_files,
    )
}  # fmt: skip
