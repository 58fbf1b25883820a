"""A step that does not fit into the device's memory is done again in smaller parts, and so is every later one."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch

from baimu.errors import TrainingError
from baimu.training.run import change_recipe

if TYPE_CHECKING:
    from baimu.training.loop import Training


class Before:
    """What the passes of a step change before its parameters change: random states, and buffers such as the
    statistics of batch norm. Taken before each step, for when it must be done again; cheap, as buffers are small.
    """

    def __init__(self, training: Training) -> None:
        self._buffers = list(training.model.buffers())
        self._kept = [torch.empty_like(buffer) for buffer in self._buffers]
        self._random: tuple[Any, ...] = ()

    def take(self) -> None:
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        self._random = (torch.get_rng_state(), cuda)
        _copy(self._kept, self._buffers)

    def put_back(self) -> None:
        host, cuda = self._random
        torch.set_rng_state(host)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda)
        _copy(self._buffers, self._kept)


@torch.no_grad()
def _copy(to: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    if to:
        torch._foreach_copy_(to, values)  # pyright: ignore[reportPrivateImportUsage]


def in_smaller_parts(training: Training) -> None:
    """Have every step from here on in twice as many parts, or in the next number that the batch divides into.

    The images of a step stay, and its gradient is that of the mean over the parts, so the run goes on as one with that
    ``accumulate`` would. Raises :class:`~baimu.errors.TrainingError`, which names the mend, where it cannot be done
    without changing what is learned: several processes, several optimisers (the first may have changed its parameters
    already), batches whose images are compared with each other, and parts of a single image.
    """
    recipe, step = training.recipe, training.place.step + 1
    for phase in training.phases:
        phase.optimizer.zero_grad()
    gc.collect()  # what the failed pass left in cycles
    torch.cuda.empty_cache()
    wider = range(2 * recipe.accumulate, recipe.batch_size + 1)
    parts = next((n for n in wider if recipe.batch_size % n == 0), None)
    mend = "lower size" if parts is None else f"continue with resume=True, accumulate={parts}"
    alone = training.accelerator.num_processes == 1 and len(training.phases) == 1
    if parts is None or not alone or recipe.images_per_identity > 1:
        raise TrainingError(
            f"step {step} does not fit into memory, {recipe.batch_size // recipe.accumulate} images at a time; the "
            f"last checkpoint is intact. Use precision=bf16 in a new run, or {mend}"
        )
    training.recipe = training.task.recipe = recipe.replace(accumulate=parts)
    if training.accelerator.is_main_process and (training.saver.folder / "recipe.yaml").exists():
        change_recipe(training.saver.folder, training.recipe.model_dump(mode="json"))
    training.record.note(
        f"step {step} does not fit into memory, {recipe.batch_size // recipe.accumulate} images at a time; from here "
        f"on each step has {parts} parts of {recipe.batch_size // parts} (accumulate={parts})"
    )
