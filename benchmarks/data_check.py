"""Checking a large COCO file: 100,000 images with 700,000 boxes and outlines, on one core.

    python benchmarks/data_check.py --out benchmarks/results/data_check.json

The images are links to 64 JPEG files, as only their headers are read; 1,000 annotations are spoiled in known
ways, and all of these must be found. The time is that of ``baimu.check_data``, from the path to the report.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import PIL
from PIL import Image

import baimu

PER_IMAGE, CLASSES, WIDTH, HEIGHT, SPOILED, PICTURES = 7, 80, 640, 480, 1000, 64


def write_set(root: Path, images: int) -> None:
    """The data set, with every spoiled box outside its image."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    for i in range(images):
        file = root / "images" / f"{i:07d}.jpg"
        if i < PICTURES:
            coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
            Image.fromarray(coarse).resize((WIDTH, HEIGHT)).save(file, quality=30)
        else:
            os.link(root / "images" / f"{i % PICTURES:07d}.jpg", file)
    corners = rng.uniform(0, (WIDTH - 120, HEIGHT - 120), (images * PER_IMAGE, 2)).round(2)
    sizes = rng.uniform(8, 110, (images * PER_IMAGE, 2)).round(2)
    corners[rng.choice(len(corners), SPOILED, replace=False), 0] += WIDTH
    labels = rng.integers(1, CLASSES + 1, len(corners))
    rows = []
    for t, ((x, y), (w, h), label) in enumerate(zip(corners.tolist(), sizes.tolist(), labels.tolist(), strict=True)):
        outline = [[x, y, x + w, y, x + w, y + h / 2, x + w, y + h, x, y + h, x, y + h / 2]]
        row = {"id": t + 1, "image_id": t // PER_IMAGE + 1, "category_id": label, "iscrowd": 0}
        rows.append({**row, "bbox": [x, y, w, h], "area": w * h, "segmentation": outline})
    listed = [{"id": i + 1, "file_name": f"{i:07d}.jpg", "width": WIDTH, "height": HEIGHT} for i in range(images)]
    categories = [{"id": k + 1, "name": f"class {k}"} for k in range(CLASSES)]
    data = {"images": listed, "annotations": rows, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(data))


def measure(images: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_set(root, images)
        size = (root / "annotations.json").stat().st_size
        cpu, wall = time.process_time(), time.perf_counter()
        report = baimu.check_data(str(root))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "images": images,
        "boxes": images * PER_IMAGE,
        "json_megabytes": round(size / 1e6, 1),
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "spoiled": SPOILED,
        "found": report.counts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    versions = {"python": platform.python_version(), "numpy": np.__version__, "pillow": PIL.__version__}
    result = {"machine": machine, "versions": versions, **measure(options.images)}
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
