"""The data pipeline, one core, against torchvision's v2 transforms on PIL images, taking turns in one process.

    python benchmarks/data_pipeline.py --out benchmarks/results/data_pipeline.json

Work of one image: a 640x480 JPEG of quality 90 with 7 boxes is decoded, its colours jittered (0.4, 0.4, 0.4, hue 0.04),
flipped with probability 1/2, padded to 640x640 and normalised to float32 (3, H, W). Ours is what ``baimu train`` runs:
``load_sample``, ``augment`` and ``collate`` of the loader, then ``Preprocess.normalize``. The photographs are those of
``shared/data/kodak`` beside the checkout, else drawn scenes. Medians over the turns of the mean of all photographs;
CPU seconds beside wall seconds, for a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from baimu.datasets.annotations import Columns, FileSource, assemble
from baimu.datasets.flat import ProblemLog
from baimu.datasets.images import decode_image
from baimu.datasets.loader import collate, load_sample
from baimu.datasets.playground import Playground
from baimu.datasets.transforms import augment
from baimu.preprocess import Frame, Preprocess
from baimu.recipes import Recipe

SIZE, WIDTH, HEIGHT, BOXES, JITTER = 640, 640, 480, 7, 0.4
PREPROCESS = Preprocess(resize="letterbox", size=SIZE)
RECIPE = Recipe(flip=0.5, color_jitter=JITTER)


def photographs(folder: Path) -> tuple[FileSource, str]:
    """Twelve JPEG files in ``folder`` with random boxes, and where their pixels are from."""
    kodak = sorted((Path(__file__).resolve().parents[2] / "shared" / "data" / "kodak").glob("*.png"))
    if kodak:
        pictures = [Image.open(path).convert("RGB") for path in kodak]
    else:
        scenes = Playground(12, size=(HEIGHT, WIDTH))
        pictures = [Image.fromarray(scenes.image(i)) for i in range(12)]
    for i, picture in enumerate(pictures):
        picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(folder / f"{i}.jpg", quality=90)
    count = len(pictures) * BOXES
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 300, (count, 2))
    columns = Columns(
        boxes=np.concatenate([corners, corners + rng.uniform(10, 180, (count, 2))], axis=1),
        labels=rng.integers(0, 80, count),
        crowd=np.zeros(count, bool),
        areas=np.full(count, np.nan),
        ids=np.arange(count),
    )
    source = assemble(
        root=folder,
        classes=[f"class {k}" for k in range(80)],
        category_ids=range(80),
        files=[f"{i}.jpg" for i in range(len(pictures))],
        image_ids=range(len(pictures)),
        sizes=np.tile([HEIGHT, WIDTH], (len(pictures), 1)),
        images=np.repeat(np.arange(len(pictures)), BOXES),
        columns=columns,
        record=lambda t: ("", str(t)),
        log=ProblemLog(),
    )
    return source, "kodak photographs" if kodak else "drawn scenes"


def ours(source: FileSource, turn: int) -> torch.Tensor:
    for index in range(len(source)):
        rng = np.random.Generator(np.random.PCG64([0, turn, index]))
        sample = augment(lambda i: load_sample(source, i), index, len(source), PREPROCESS, RECIPE, rng)
        frame = Frame(sample.size, sample.size, 1.0, 1.0)
        batch = collate([sample], [frame], PREPROCESS, [source.name(index)], [index])
        result = PREPROCESS.normalize(batch.inputs, batch.targets.sizes)[0]
    return result


def make_torchvision(source: FileSource) -> Callable[[int], torch.Tensor]:
    mean, std = ([value / 255 for value in values] for values in (PREPROCESS.mean, PREPROCESS.std))
    before = v2.Compose([v2.ColorJitter(JITTER, JITTER, JITTER, JITTER / 10), v2.RandomHorizontalFlip(0.5)])
    after = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])
    # Padded last, where it is one copy: with PIL, or before the jitter, torchvision is slower.
    pad = v2.Pad([0, 0, SIZE - WIDTH, SIZE - HEIGHT])

    def run(turn: int) -> torch.Tensor:
        torch.manual_seed(turn)
        for index in range(len(source)):
            image = Image.open(source.name(index)).convert("RGB")
            objects = source.objects(index)
            boxes: Any = tv_tensors.BoundingBoxes(  # pyright: ignore[reportCallIssue]
                torch.from_numpy(objects.boxes), format="XYXY", canvas_size=(HEIGHT, WIDTH)
            )
            image, boxes, _labels = pad(after(before(image, boxes, torch.from_numpy(objects.labels))))
        return image

    return run


def decode_only(source: FileSource) -> None:
    for index in range(len(source)):
        decode_image(source.name(index))


def take_turns(runs: dict[str, Callable[[int], Any]], turns: int, images: int) -> dict[str, dict[str, float]]:
    """Median milliseconds an image, wall and CPU, after one untimed round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run(turn)
            if turn:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    per_image = {name: [[1e3 * t / images for t in pair] for pair in values] for name, values in times.items()}
    return {
        name: {key: round(statistics.median(v[k] for v in values), 3) for k, key in enumerate(("wall_ms", "cpu_ms"))}
        for name, values in per_image.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source, pixels = photographs(Path(folder))
        kilobytes = sum(Path(source.name(i)).stat().st_size for i in range(len(source))) / len(source) / 1000
        runs = {
            "baimu": lambda turn: ours(source, turn),
            "torchvision v2": make_torchvision(source),
            "decode only": lambda turn: decode_only(source),
        }
        times = take_turns(runs, arguments.turns, len(source))
    ratio = {key: round(times["torchvision v2"][key] / times["baimu"][key], 2) for key in ("wall_ms", "cpu_ms")}
    result = {
        "work": "640x480 JPEG q90: decode, colour jitter, flip, pad 640, normalise, 7 boxes; one core",
        "pixels": f"{len(source)} {pixels}, {kilobytes:.0f} kB each",
        "milliseconds_an_image": times,
        "images_a_second": {name: round(1e3 / value["cpu_ms"], 1) for name, value in times.items()},
        "torchvision_over_baimu": ratio,
        "turns": arguments.turns,
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": PIL.__version__},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, value in times.items():
        print(f"{name:16s} {value['wall_ms']:7.2f} ms wall {value['cpu_ms']:7.2f} ms CPU an image")
    print(f"torchvision v2 / baimu: {ratio['wall_ms']:.2f} wall, {ratio['cpu_ms']:.2f} CPU")


if __name__ == "__main__":
    main()
