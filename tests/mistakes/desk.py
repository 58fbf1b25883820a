"""A desk with models, data sets and pictures on it, right ones and wrong ones, which the mistakes are made with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from baimu import create_model
from baimu.weights.archive import write_archive
from baimu.weights.checkpoint import describe
from tests.datasets.files import (
    coco_json,
    voc_object,
    write_classes,
    write_coco,
    write_image,
    write_voc,
    write_yolo,
)

ROW = "0 0.5 0.5 0.4 0.4\n"
NETWORKS = {
    "detector": ("fcos_r18_fpn", {"num_classes": 2}, ("cat", "dog")),
    "classifier": ("squeezenet1_1", {"num_classes": 2}, ("cat", "dog")),
    "segmenter": ("unet_s5_d16", {"num_classes": 3, "widths": (4, 4, 8, 8, 8)}, ("ground", "disc", "cross")),
    "embedder": ("reid_baseline_r18", {"num_classes": 4}, ()),
    "follower": ("siamfc_alexnet", {"width": 0.05}, ()),
}


def lay_out(folder: Path) -> None:
    """Fill an empty folder; the rows of the table name what lies in it as ``{name}``."""
    _write_models(folder)
    _write_pictures(folder)
    _write_good_data(folder)
    _write_bad_data(folder)


def _write_models(folder: Path) -> None:
    torch.manual_seed(0)
    for name, (network, arguments, classes) in NETWORKS.items():
        model: Any = create_model(network, **arguments)
        if name in ("detector", "classifier"):
            model.preprocess = model.preprocess.replace(size=64)
        if classes:
            model.classes = classes
        state = {f"model.{key}": value for key, value in model.state_dict().items()}
        write_archive(folder / f"{name}.safetensors", state, describe(model))
    whole = (folder / "classifier.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "flipped.safetensors").write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    (folder / "text.safetensors").write_text("epoch 1: loss 0.5\n")
    (folder / "text.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (folder / "page.pth").write_text("<!DOCTYPE html><html><title>Sign in</title></html>")
    torch.save(
        {"state_dict": {"encoder.weight": torch.ones(3, 4), "encoder.bias": torch.ones(3)}}, folder / "strange.pth"
    )
    (folder / "no_run").mkdir()
    (folder / "no_run" / "notes.txt").write_text("to do\n")
    (folder / "run").mkdir()
    shutil.copy(folder / "classifier.safetensors", folder / "run" / "best.safetensors")
    (folder / "run" / "results.csv").write_text("epoch\n1\n")


def _write_pictures(folder: Path) -> None:
    write_image(folder / "photos" / "a.jpg", seed=1)
    write_image(folder / "photos" / "b.jpg", seed=2)
    write_image(folder / "photo.jpg", seed=3)
    (folder / "page.jpg").write_text("<!DOCTYPE html><html>404 Not Found</html>")
    (folder / "nothing.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:600])
    (folder / "notes.txt").write_text("buy milk\n")
    (folder / "empty").mkdir()
    (folder / "clip.mp4").write_bytes(b"this is no film")
    (folder / "list.txt").write_text(f"{folder}/photo.jpg\n{folder}/gone.jpg\n")
    (folder / "empty.txt").write_text("\n")
    (folder / "det.txt").write_text("1,-1,10,20,30\n")
    (folder / "good_det.txt").write_text("1,-1,10,20,30,15,0.9\n")
    Image.new("RGB", (4, 4)).save(folder / "photos.png")


def _write_good_data(folder: Path) -> None:
    write_yolo(
        folder / "yolo", {f"train/{i}": ROW for i in range(4)} | {f"val/{i}": "1 0.5 0.5 0.4 0.4\n" for i in range(2)}
    )
    (folder / "yolo" / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n")
    (folder / "yolo" / "classes.txt").write_text("cat\ndog\n")
    write_classes(folder / "animals", {"cat": 4, "dog": 4})
    write_classes(folder / "three", {"cat": 3, "dog": 3, "owl": 3})
    box = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
    write_coco(folder / "coco", coco_json([box]))


def _write_bad_data(folder: Path) -> None:
    box = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
    whole = coco_json([box])
    for name, broken in {
        "coco_no_categories": {k: v for k, v in whole.items() if k != "categories"},
        "coco_no_images": {k: v for k, v in whole.items() if k != "images"},
        "coco_no_pictures": whole,
    }.items():
        write_coco(folder / name, broken)
    shutil.rmtree(folder / "coco_no_pictures" / "images")
    (folder / "half.json").write_text(json.dumps(whole)[:80])
    (folder / "list.json").write_text("[1, 2, 3]")
    for name, text in {
        "voc_no_size": f"<annotation>{voc_object('cat', (5, 5, 20, 20))}</annotation>",
        "voc_broken": "<annotation><object>",
    }.items():
        for stem in "ab":
            write_voc(folder / name, stem, [])
            (folder / name / "Annotations" / f"{stem}.xml").write_text(text)
    write_yolo(folder / "yolo_no_names", {"train/a": ROW, "train/b": ROW})
    (folder / "yolo_no_names" / "data.yaml").write_text("path: .\ntrain: images/train\n")
    write_yolo(folder / "yolo_high_id", dict.fromkeys(("train/a", "train/b"), "7 0.5 0.5 0.4 0.4\n"))
    (folder / "yolo_high_id" / "classes.txt").write_text("cat\ndog\n")
    write_yolo(folder / "yolo_pixels", dict.fromkeys(("train/a", "train/b"), "0 30 20 10 10\n"))
    (folder / "yolo_pixels" / "classes.txt").write_text("cat\ndog\n")
    write_yolo(folder / "yolo_moved", {"train/a": ROW, "train/b": ROW})
    (folder / "yolo_moved" / "data.yaml").write_text("path: /data/elsewhere\ntrain: images/train\nnames: [cat]\n")
    (folder / "broken.yaml").write_text("train: [images\nnames: {")
    write_image(folder / "pictures_only" / "a.jpg")
    write_image(folder / "pictures_only" / "b.jpg", seed=1)
    write_classes(folder / "one_class", {"cat": 3})
    (folder / "empty_classes" / "cat").mkdir(parents=True)
    (folder / "empty_classes" / "dog").mkdir()
    write_classes(folder / "damaged", {"cat": 3, "dog": 3})
    (folder / "damaged" / "dog" / "9.png").write_text("<html>not a picture</html>")
    (folder / "table.csv").write_text("file,label\ngone.png,cat\n")
    (folder / "columns.csv").write_text("a;b\n1;2\n")
    np.save(folder / "array.npy", np.zeros((4, 4)))
