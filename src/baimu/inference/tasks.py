"""What the predictor asks of a task: a batch in, results out. Another task is one more file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from baimu.errors import BaimuError
from baimu.inference.batches import IMAGES, Medium
from baimu.inference.classifying import Classifying
from baimu.inference.detecting import Detecting
from baimu.inference.embedding import EmbeddingImages
from baimu.inference.options import check_options, option_names, option_types
from baimu.inference.reading import ReadingLines
from baimu.inference.segmenting import Segmenting
from baimu.inference.texts import TellingTexts
from baimu.inference.translating import Translating
from baimu.preprocess import Frame
from baimu.results import Result


class Task(Protocol):
    """How a model is asked, and what its answer says of each image. Made once, for a model and the user's options."""

    @property
    def pads(self) -> bool:
        """Whether the model knows what is padding, so that images of several sizes may share a batch."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Attributes of the model that are otherwise while it is asked."""
        ...

    def ask(self, model: Any, images: Tensor, sizes: Tensor | None) -> Any:
        """The answer to normalised images (B, 3, H, W), of which ``sizes`` (B, 2; None: all) are valid.

        The model is in evaluation mode, and may be a copy that computes the same faster.
        """
        ...

    def results(self, answer: Any, frames: Sequence[Frame], names: Sequence[str]) -> Sequence[Result]:
        """One result for each image, in the pixels of its source."""
        ...


TASKS: dict[str, Callable[..., Task]] = {
    "detection": Detecting,
    "classification": Classifying,
    "semantic_segmentation": Segmenting,
    "embedding": EmbeddingImages,
    "text_recognition": ReadingLines,
    "text_classification": TellingTexts,
    "generation": Translating,
}
"""By the ``task`` of a model."""


def medium_of(task: Any) -> Medium:
    """What a task, or the task of a model, looks at: its ``medium``, or images where it names none."""
    kind = TASKS.get(getattr(task, "task", ""), task)
    return getattr(kind, "medium", IMAGES)


def task_of(model: nn.Module, kind: Callable[..., Task] | None, options: Mapping[str, Any]) -> Task:
    """The task of ``model``, or another ``kind``, with ``options``; an unknown one offers the nearest."""
    own = _kind_of(model)
    kind = kind or own
    check_options(f"option of {model.task}", options, option_names(kind))
    return kind(model, **options)


def options_of(model: nn.Module) -> dict[str, Any]:
    """What may be asked of the task of ``model``: the options and their types."""
    return option_types(_kind_of(model))


def _kind_of(model: nn.Module) -> Callable[..., Task]:
    name = getattr(model, "task", None)
    if name == "tracking":
        raise BaimuError(
            f"{type(model).__name__}: follows one object from frame to frame; baimu track VIDEO --model … --box X,Y,W,H"
        )
    if name not in TASKS:
        raise BaimuError(f"{type(model).__name__}: not a model of {' or '.join(TASKS)}; give one of baimu's")
    return TASKS[name]
