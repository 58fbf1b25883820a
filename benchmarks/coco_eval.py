"""COCO evaluation against pycocotools: python benchmarks/coco_eval.py --out results/coco_eval.json

5,000 images with 7 objects and 100 detections each, 80 classes; from arrays of detections, one set an image, to the
twelve numbers. Every run is a process of its own, ours and the peer's in turn, so that the peak memory is its own:
resident memory at the highest, less what the interpreter, the imports and the arrays took.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from baimu.datasets.source import Objects
from baimu.results import Detections

OBJECTS, DETECTIONS, CLASSES = 7, 100, 80


class Scenes:
    """A data set of random boxes, and detections that lie near them."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self.classes = tuple(f"class {k}" for k in range(CLASSES))
        self.category_ids = range(1, CLASSES + 1)
        self.problems = ()
        rng = np.random.default_rng(seed)
        corners = rng.uniform(0, 400, (count, OBJECTS, 2))
        self.boxes = np.concatenate([corners, corners + rng.uniform(5, 200, corners.shape)], 2).astype(np.float32)
        self.labels = rng.integers(0, CLASSES, (count, OBJECTS))
        self.crowd = rng.random((count, OBJECTS)) < 0.01
        sides = self.boxes[..., 2:] - self.boxes[..., :2]
        self.areas = sides.prod(2)
        self.detections = [self._detect(i, rng) for i in range(count)]

    def _detect(self, index: int, rng: np.random.Generator) -> Detections:
        near = rng.integers(0, OBJECTS, DETECTIONS)
        boxes = self.boxes[index, near] + rng.normal(0, 8, (DETECTIONS, 4)).astype(np.float32)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        guess = rng.integers(0, CLASSES, DETECTIONS)
        labels = np.where(rng.random(DETECTIONS) < 0.7, self.labels[index, near], guess)
        return Detections(boxes, rng.random(DETECTIONS).astype(np.float32), labels, self.classes, (640, 640))

    def __len__(self) -> int:
        return len(self.boxes)

    def name(self, index: int) -> str:
        return f"scene {index}"

    def image_id(self, index: int) -> int:
        return index + 1

    def size(self, index: int) -> tuple[int, int]:
        return (640, 640)

    def image(self, index: int, *, at_least: int | None = None) -> np.ndarray:
        raise NotImplementedError

    def objects(self, index: int) -> Objects:
        ids = np.arange(OBJECTS)
        return Objects(self.boxes[index], self.labels[index], self.crowd[index], self.areas[index], ids)

    def select(self, indices: list[int]) -> Scenes:
        raise NotImplementedError


def ours(scenes: Scenes) -> list[float]:
    from baimu.metrics.coco import coco_evaluate

    return list(coco_evaluate(scenes, scenes.detections).figures().values())


def pycocotools(scenes: Scenes) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = []
    for i in range(len(scenes)):
        objects = scenes.objects(i)
        xywh = objects.boxes.astype(np.float64)
        xywh[:, 2:] -= xywh[:, :2]
        columns = (xywh.tolist(), objects.labels.tolist(), objects.crowd.tolist(), objects.areas.tolist())
        for box, label, crowd, area in zip(*columns, strict=True):
            ids = {"id": len(annotations) + 1, "image_id": i + 1, "category_id": label + 1}
            annotations.append({**ids, "bbox": box, "area": area, "iscrowd": int(crowd)})
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i + 1} for i in range(len(scenes))],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(scenes.classes)],
        "annotations": annotations,
    }
    truth.createIndex()
    rows = []
    for i, found in enumerate(scenes.detections):
        xywh = found.boxes.astype(np.float64)
        xywh[:, 2:] -= xywh[:, :2]
        rows.append(np.column_stack([np.full(len(found), i + 1), xywh, found.scores, found.labels + 1]))
    evaluation = COCOeval(truth, truth.loadRes(np.concatenate(rows)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()


def measure(who: str, images: int) -> dict:
    """Time, processor time and peak memory of one evaluation in this process; imports come first and do not count."""
    evaluate = {"ours": ours, "pycocotools": pycocotools}[who]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(Scenes(2))  # imports
        scenes = Scenes(images)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, cpu = time.perf_counter(), time.process_time()
        figures = evaluate(scenes)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": wall, "cpu_seconds": cpu, "peak_mib": peak / 1024, "figures": figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("ours", "pycocotools"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.images)))
        return

    runs: dict[str, list[dict]] = {"ours": [], "pycocotools": []}
    for _ in range(options.repeats):
        for who, done in runs.items():
            command = [sys.executable, __file__, "--only", who, "--images", str(options.images)]
            done.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    result: dict = {
        "work": f"{options.images} images x {DETECTIONS} detections x {CLASSES} classes x {OBJECTS} objects",
        "repeats": options.repeats,
        "cores": os.cpu_count(),
        "same_figures": runs["ours"][0]["figures"] == runs["pycocotools"][0]["figures"],
    }
    for who, done in runs.items():
        keys = ("seconds", "cpu_seconds", "peak_mib")
        result[who] = {key: round(statistics.median(run[key] for run in done), 3) for key in keys}
    for key in ("seconds", "cpu_seconds", "peak_mib"):
        result[f"{key}_ratio"] = round(result["ours"][key] / result["pycocotools"][key], 4)
    result["target"] = {"seconds_ratio": 1 / 30, "peak_mib_ratio": 1 / 5}
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
