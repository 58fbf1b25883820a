"""What a bench is about: a model in a file that every process can load, and the images that it is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import nn

from baimu import zoo
from baimu.datasets.playground import Playground
from baimu.deploy.bench_cells import Cell
from baimu.deploy.proof import samples
from baimu.errors import BaimuError
from baimu.inference.predictor import load_model
from baimu.inference.tasks import medium_of, task_of
from baimu.runtimes.exported import Exported
from baimu.weights.archive import write_archive
from baimu.weights.checkpoint import describe

SCENES = 8
"""That are drawn where no images are given, of :data:`SIDES`, as JPEG files."""
SIDES = (480, 640)


@dataclass(frozen=True)
class Subject:
    """Model and images, as any process can open them."""

    name: str
    task: str
    weights: str  # "trained" or "random"
    source: str  # what baimu.load takes
    images: list[str]  # files, or texts
    real: bool  # the images are the user's
    what: str  # they are, in words
    path: Path | None = None  # of the exported file, where that is what was given
    cell: tuple[str, str] | None = None  # runtime and precision of that

    @property
    def only(self) -> Sequence[str] | None:
        return None if self.cell is None else self.cell[:1]

    def own(self, cells: Sequence[Cell], runtimes: Sequence[str] | None, precisions: Sequence[str]) -> list[Cell]:
        """Cells of an exported file, which runs in one runtime and precision."""
        assert self.cell is not None
        runtime, precision = self.cell
        if not {*(runtimes or ())} <= {runtime} or not {*precisions} <= {precision, "fp32"}:
            raise BaimuError(
                f"{self.path}: runs in {runtime} in {precision}; give the model it was made of to compare others"
            )
        return list(dict.fromkeys(cell._replace(precision=precision) for cell in cells))


def subject_of(
    model: nn.Module | str | Path, size: int | tuple[int, int] | None, images: Any, scratch: Path
) -> Subject:
    """``scratch`` is for files that only the bench reads; drawn images go there, and a model that has no file."""
    from baimu.runtimes.session import format_of

    random = isinstance(model, str) and not Path(model).exists() and model in zoo.list_models()
    if random:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network: Any = zoo.create_model(str(model))
    else:
        network = model if isinstance(model, nn.Module) else load_model(model)
    task_of(network, None, {})  # raises for what cannot be asked about images
    files, what = _images(network, images, scratch)
    given = {"images": files, "real": images is not None, "what": what, "task": network.task}
    spec = getattr(network, "spec", None)
    name = spec[0] if spec else type(network).__name__
    if isinstance(network, Exported):
        if size is not None:
            raise BaimuError(f"{network.path}: size={size}: an exported file is as it is; leave size away")
        cell = (format_of(network.path) or "", network.card.precision)
        source = str(network.path)
        return Subject(network.path.name, weights="trained", source=source, path=network.path, cell=cell, **given)
    source = str(model)
    if random or size is not None or isinstance(model, nn.Module):
        if spec is None:
            raise BaimuError(f"{name}: the processes of a bench make the model again, by its name; use create_model")
        before = network.preprocess
        try:
            network.preprocess = resized(network, size)
            source = str(scratch / "model.safetensors")
            state = {f"model.{key}": value.cpu() for key, value in network.state_dict().items()}
            write_archive(Path(source), state, describe(network))
        finally:
            network.preprocess = before
    return Subject(name, weights="random" if random else "trained", source=source, **given)


def resized(network: Any, size: int | tuple[int, int] | None) -> Any:
    """The preprocessing that brings images to ``size``: in its own way where that gives one size, else fitted into a
    square and padded, or stretched to height and width."""
    p = network.preprocess
    if size is None:
        return p
    if network.task == "text_classification":
        raise BaimuError(f"size={size}: is not for texts; leave it away")
    height, width = (size, size) if isinstance(size, int) else size
    step = max(p.pad_to, getattr(network, "multiple", 1))
    if height % step or width % step or min(height, width) < 1:
        raise BaimuError(f"size={size}: this model's inputs have sides of a multiple of {step} pixels")
    if isinstance(size, int):
        own = p.resize in ("crop", "stretch") and not p.width
        return p.replace(size=size, resize=p.resize if own else "letterbox")
    return p.replace(size=height, resize="stretch", width=width)


def _images(network: Any, images: Any, scratch: Path) -> tuple[list[str], str]:
    """Names of files, or texts; and what they are."""
    medium = medium_of(network)
    if not medium.drawn:
        texts = [str(item.read()) for item in samples(network, images)]
        return texts, f"{len(texts)} texts{'' if images is not None else ' of ours'}"
    if images is None:
        scenes = Playground(SCENES, size=SIDES, empty=0.0)
        files = [scratch / f"scene{i}.jpg" for i in range(SCENES)]
        for i, file in enumerate(files):
            PIL.Image.fromarray(scenes.image(i)).save(file, quality=90)
        return [str(file) for file in files], f"{SCENES} drawn scenes of {SIDES[1]}x{SIDES[0]}"
    found = []
    for i, item in enumerate(samples(network, images)):
        if item.is_file:
            found.append(str(Path(item.name).absolute()))
        else:
            found.append(str(scratch / f"image{i}.png"))
            PIL.Image.fromarray(item.read()).save(found[-1])
    if not found:
        raise BaimuError(f"{images}: holds no images to measure on")
    return found, f"{len(found)} images"
