"""Half an hour of training and 20,000 predictions: do memory, handles or threads grow?

    python benchmarks/soak.py training --minutes 30
    python benchmarks/soak.py predicting --predictions 20000

Training: a SqueezeNet learns to name drawn things, in trainings of three epochs one after another in one process, each
with a loading worker, evaluations, checkpoints, pictures and a report. Predicting: ``baimu.predict`` asks a ResNet-18
about 1, 7 or 64 images a call, arrays, PIL images, files and encoded bytes among them. Twice a second resident memory,
open handles, threads and children are read from /proc. A line is fitted to memory after the first fifth, in which
caches fill. Exit code 1 if that line climbs by more than ``GROWTH`` in the rest of the time, or if there are more
handles, threads or children in its last third than there ever were before. Figures go to --out, where the other half's
stay, and both into the picture.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import PIL.Image
import torch

import baimu
from baimu.datasets.playground import Playground
from baimu.draw.charts import figure, legend, save, styled

GROWTH = 16.0
"""MiB that the fitted line may climb in a phase. A tensor kept every step, or a result every call, is far more."""

WARM_UP = 0.2
EVERY = 0.5
SHOWN = 300
MODEL, SIZE, KINDS, IMAGES = "squeezenet1_1", 64, ("disc", "square", "star"), {"train": 32, "val": 8}
RECIPE: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 8,
    "size": SIZE,
    "precision": "fp32",
    "workers": 1,
    "save_every": 4,
}
CALLS = (1, 7, 64)
COLOURS = ("#1d4ed8", "#b45309", "#0f766e")
COUNTS = ("handles", "threads", "children")


class Sample(NamedTuple):
    """The state of this process ``seconds`` after its start; memory in MiB."""

    seconds: float
    memory: float
    handles: int
    threads: int
    children: int


def sample(started: float) -> Sample:
    """This process now, as Linux sees it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    memory = int(status["VmRSS"].split()[0]) / 1024
    return Sample(
        time.perf_counter() - started, memory, len(os.listdir("/proc/self/fd")), int(status["Threads"]), len(children)
    )


@contextmanager
def watched(started: float) -> Iterator[list[Sample]]:
    """Inside, a thread takes samples."""
    samples: list[Sample] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(EVERY):
            samples.append(sample(started))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def draw_classes(folder: Path) -> Path:
    """Scenes with one kind of thing each, in a folder a kind."""
    for split, count in IMAGES.items():
        for seed, name in enumerate(KINDS):
            scenes = Playground(count, SIZE, seed, classes=[name])
            place = folder / split / name
            place.mkdir(parents=True)
            for i in range(count):
                PIL.Image.fromarray(scenes.image(i)).save(place / f"{i}.jpg")
    return folder


def train(minutes: float, folder: Path) -> dict[str, int]:
    """Trainings until the time is over."""
    data = draw_classes(folder / "data")
    ends, trainings, steps = time.perf_counter() + 60 * minutes, 0, 0
    while time.perf_counter() < ends:
        with tempfile.TemporaryDirectory(dir=folder) as run:
            done = baimu.train(MODEL, data, out=Path(run) / "run", seed=trainings, **RECIPE)
            steps += int(done.history[-1]["step"])
        trainings += 1
    return {"trainings": trainings, "steps": steps}


def predict(count: float, folder: Path) -> dict[str, int]:
    """So many images, in every form that a picture has."""
    model = baimu.create_model("resnet18", num_classes=10)
    model.preprocess = model.preprocess.replace(size=32)
    scenes = Playground(32, SIZE)
    arrays = [scenes.image(i) for i in range(len(scenes))]
    sources: list[Callable[[int], Any]] = [
        lambda i: arrays[i],
        lambda i: PIL.Image.fromarray(arrays[i]),
        lambda i: str(folder / f"{i}.jpg"),
        lambda i: (folder / f"{i}.jpg").read_bytes(),
    ]
    for i, array in enumerate(arrays):
        buffer = io.BytesIO()
        PIL.Image.fromarray(array).save(buffer, "JPEG")
        (folder / f"{i}.jpg").write_bytes(buffer.getvalue())
    calls = made = 0
    while made < count:
        asked = range(made, made + CALLS[calls % len(CALLS)])
        found: Any = baimu.predict(model, [sources[i % 4](i % len(arrays)) for i in asked], batch_size=16)
        calls, made = calls + 1, made + len(found)
    return {"predictions": made, "calls": calls}


def judged(samples: list[Sample]) -> dict[str, Any]:
    """What a phase came to. Memory: the line through all samples after the warm-up."""
    rest = samples[int(WARM_UP * len(samples)) :]
    hours = np.array([one.seconds for one in rest]) / 3600
    memory = np.array([one.memory for one in rest])
    slope, start = np.polyfit(hours, memory, 1)
    growth = slope * (hours[-1] - hours[0])
    last = len(rest) * 2 // 3
    counts = {name: [max(getattr(s, name) for s in part) for part in (rest[:last], rest[last:])] for name in COUNTS}
    return {
        "minutes": round((samples[-1].seconds - samples[0].seconds) / 60, 2),
        "samples": len(samples),
        "shown": [[round(value, 2) for value in one] for one in samples[:: max(1, len(samples) // SHOWN)]],
        "memory_mib": {"first": round(memory[0], 1), "last": round(memory[-1], 1), "most": round(memory.max(), 1)},
        "slope_mib_per_hour": round(float(slope), 2),
        "growth_mib": round(float(growth), 2),
        "line": [round(float(slope), 4), round(float(start), 4)],
        **{name: {"before": before, "last_third": after} for name, (before, after) in counts.items()},
        "flat": bool(growth <= GROWTH and all(after <= before for before, after in counts.values())),
    }


def draw(results: dict[str, Any], path: Path) -> None:
    """Memory with its fitted line, and the counts, over the minutes; a row of charts for each half that there is."""
    halves = [name for name in WORK if name in results]
    made = figure(10, 3.2 * len(halves))
    for axes, name in zip(made.subplots(len(halves), 2, squeeze=False), halves, strict=True):
        left, right = axes
        found, shown = results[name], np.array(results[name]["shown"])
        minutes = shown[:, 0] / 60
        styled(left, f"{name.capitalize()}: resident memory, MiB", "minutes")
        styled(right, f"{name.capitalize()}: handles, threads, children", "minutes")
        left.plot(minutes, shown[:, 1], color="#9ca3af", linewidth=0.8)
        rest = minutes[int(WARM_UP * len(minutes)) :]
        slope, start = found["line"]
        line = left.plot(rest, slope * rest / 60 + start, color=COLOURS[0], linewidth=1.8)
        legend(left, line, [f"{found['slope_mib_per_hour']:+.1f} MiB an hour"])
        lines = [right.plot(minutes, shown[:, 2 + i], color=COLOURS[i], linewidth=1)[0] for i in range(len(COUNTS))]
        legend(right, lines, COUNTS)
        left.set_ylim(bottom=0)
        right.set_ylim(bottom=0)
    save(made, path)


WORK = {"training": train, "predicting": predict}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("half", choices=WORK)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--predictions", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/soak.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs/images/soak.png"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    amount = options.minutes if options.half == "training" else options.predictions
    with tempfile.TemporaryDirectory() as folder, watched(time.perf_counter()) as samples:
        counted = WORK[options.half](amount, Path(folder))
    about = {"torch": torch.__version__, "python": platform.python_version()}
    found = {**about, "limit_mib": GROWTH, **counted, **judged(samples)}
    print(json.dumps({key: value for key, value in found.items() if key != "shown"}), flush=True)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results[options.half] = found
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    draw(results, options.picture)
    sys.exit(not found["flat"])


if __name__ == "__main__":
    main()
