"""A task small enough to be trained hundreds of times: coloured squares to find, a model of three layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from baimu.ops.distributed import reduce_mean
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from baimu.targets import Batch, Targets
from baimu.training.assemble import assemble, build_accelerator
from baimu.training.loop import Training, fit
from baimu.training.progress import Progress
from baimu.training.saver import restore
from baimu.training.step import PhaseSpec
from baimu.weights.checkpoint import load_parameters, part, read_checkpoint

SIZE = 16
IMAGES = 24
RECIPE = Recipe(
    epochs=2, batch_size=4, lr=0.005, lr_batch_size=None, warmup_steps=3, ema_decay=0.9, workers=0, channels_last=False
)


class TinyDetector(nn.Module):
    """Says for each cell of a 4 x 4 grid whether an object's centre is in it, and how wide the object is.

    Like a dense detector it normalises by the number of positives over all processes. Dropout makes its training
    depend on the random state, batch norm on buffers.
    """

    def __init__(self, num_classes: int = 2, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.classes = tuple(f"class {i}" for i in range(num_classes))
        self.preprocess = Preprocess(resize="none", size=SIZE)
        self.spec: tuple[str, dict[str, Any]] | None = None
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Conv2d(8, num_classes + 1, 1)

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        raw = self.head(self.backbone(images)).float()
        truth = torch.zeros_like(raw[:, :-1])
        image, place = targets.valid.nonzero(as_tuple=True)
        boxes = targets.boxes[image, place]
        cells = ((boxes[:, :2] + boxes[:, 2:]) / 2 * raw.shape[2] / SIZE).long()
        truth[image, targets.labels[image, place], cells[:, 1], cells[:, 0]] = 1.0
        positives = reduce_mean(truth.sum()).clamp(min=1)
        cls = nn.functional.binary_cross_entropy_with_logits(raw[:, :-1], truth, reduction="sum") / positives
        width = raw[image, -1, cells[:, 1], cells[:, 0]]
        box = (width - (boxes[:, 2] - boxes[:, 0]) / SIZE).abs().sum() / positives
        return {"cls": cls, "box": box + raw[:, -1].sum() * 0}


def make_batch(indices: Sequence[int], epoch: int = 0) -> Batch:
    """Images that are a function of (epoch, index); they hold none, two or four objects in turn."""
    images, boxes, labels = [], [], []
    for index in indices:
        rng = np.random.default_rng([epoch, index])
        image = rng.integers(0, 255, (3, SIZE, SIZE), dtype=np.uint8)
        count = 2 * (index % 3)
        corner = rng.integers(0, SIZE - 5, (count, 2))
        images.append(torch.from_numpy(image))
        boxes.append(torch.from_numpy(np.concatenate([corner, corner + 4], 1).astype(np.float32)))
        labels.append(torch.from_numpy(rng.integers(0, 2, count)))
    targets = Targets.collate(boxes, labels, [(SIZE, SIZE)] * len(images))
    return Batch(torch.stack(images), targets, [], [f"image {i}" for i in indices], list(indices))


class TinyTask:
    """Batches in the order of the indices; the score is minus the loss on fixed images."""

    phases: tuple[PhaseSpec, ...] = (PhaseSpec("losses"),)
    score = "score"
    score_names = ("score",)

    def __init__(self, recipe: Recipe, accelerator: Accelerator) -> None:
        self.recipe, self.accelerator = recipe, accelerator
        self.steps_per_epoch = IMAGES // recipe.batch_size
        self.fingerprint: dict[str, Any] = {"train_images": IMAGES}

    def steps(self, epoch: int, skip: int) -> Iterator[Sequence[Batch]]:
        recipe, rank, world = self.recipe, self.accelerator.process_index, self.accelerator.num_processes
        size = recipe.batch_size // recipe.accumulate // world
        for step in range(skip, self.steps_per_epoch):
            parts = []
            for i in range(recipe.accumulate):
                first = step * recipe.batch_size + (i * world + rank) * size
                parts.append(make_batch(range(first, first + size), epoch).to(self.accelerator.device))
            yield parts

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        batch = make_batch(range(100, 108)).to(self.accelerator.device)
        with torch.no_grad():
            losses = model.losses(model.preprocess.normalize(batch.inputs), batch.targets)
        return {"score": -float(sum(losses.values()))}

    def draw_data(self, folder: Path) -> None: ...

    def draw_results(self, model: nn.Module, folder: Path) -> str:
        return ""


def start(
    folder: Path,
    *,
    model: Callable[[], nn.Module] = TinyDetector,
    task: type[TinyTask] = TinyTask,
    resume: bool = False,
    **changes: Any,
) -> Training:
    """A tiny training at its beginning, or where the folder's last checkpoint stands."""
    folder.mkdir(exist_ok=True)
    recipe = RECIPE.replace(**changes)
    set_seed(recipe.seed)
    network = model()
    accelerator = build_accelerator(recipe, folder)
    made = task(recipe, accelerator)
    last = folder / "last.safetensors"
    checkpoint = read_checkpoint(last) if resume and last.exists() else None
    if checkpoint:
        load_parameters(network, part(checkpoint[0], "model"), last)
    quiet = Progress(recipe.epochs, made.steps_per_epoch, made.score, quiet=True)
    training = assemble(network, made, recipe, accelerator, folder, quiet)
    if checkpoint:
        restore(training, *checkpoint, last)
    else:
        training.record.results.keep(0)
        set_seed(recipe.seed, device_specific=True)
    return training


def run(folder: Path, **options: Any) -> Training:
    """Train a tiny model to the end."""
    training = start(folder, **options)
    fit(training)
    return training


def weights_of(folder: Path, name: str = "last.safetensors") -> dict[str, Tensor]:
    """Everything that training changes, from a checkpoint of the folder."""
    return read_checkpoint(folder / name)[0]


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    """Equal to the last bit."""
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert not different
