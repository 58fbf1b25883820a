"""``devices=n``: the same call in n processes of this machine. torchrun and ``accelerate launch`` need none of this."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from baimu.errors import TrainingError


def launched_already() -> bool:
    """Whether this process is one of several that a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def launch(devices: int, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Call ``function(**arguments)`` in ``devices`` new processes, one a GPU, or on the CPU where there is none.

    Both must be picklable. When one process fails the others are ended, and :class:`~baimu.errors.TrainingError` says
    which failed and why.
    """
    gpus = torch.cuda.device_count()
    if gpus and devices > gpus:
        raise TrainingError(f"devices={devices}, but this machine has {gpus}; ask for at most {gpus}")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
    )
    threads = max(1, torch.get_num_threads() // devices)
    try:
        elastic_launch(config, _work)(function, dict(arguments), threads)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise TrainingError(f"process {rank} of {devices}: {failure.message}") from None


@record
def _work(function: Callable[..., Any], arguments: dict[str, Any], threads: int) -> None:
    torch.set_num_threads(threads)  # else each process would take every core
    try:
        function(**arguments)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
