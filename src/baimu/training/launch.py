"""``devices=n``: the same call in n processes of this machine. torchrun and ``accelerate launch`` need none of this."""

from __future__ import annotations

import logging
import os
import signal
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import PartialState
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from baimu import errors
from baimu.errors import TrainingError


def launched_already() -> bool:
    """Whether this process is one of several that a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def cpu_only() -> bool:
    """Whether Accelerate is to be told to use the CPU: several processes without a GPU would each think to be alone."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        return True
    shared = torch.accelerator.is_available() and torch.accelerator.current_accelerator() != torch.device("mps")
    return launched_already() and not shared


def join_processes() -> PartialState:
    """This process's place among those of the training; alone, the only one."""
    return PartialState(cpu=cpu_only())


def launch(devices: int, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Call ``function(**arguments)`` in ``devices`` new processes, one a GPU, or on the CPU where there is none.

    Both must be picklable. When one process fails the others are ended, and :class:`~baimu.errors.TrainingError` says
    which failed and why.
    """
    gpus = 0 if cpu_only() else torch.cuda.device_count()
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
    elastic = logging.getLogger("torch.distributed.elastic.multiprocessing.api")
    level = elastic.level
    elastic.setLevel(logging.CRITICAL)  # it would print the traceback that the error below carries
    try:
        elastic_launch(config, _work)(function, dict(arguments), threads)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise TrainingError(f"process {rank} of {devices}: {_reason(failure)}") from None
    finally:
        elastic.setLevel(level)


@record
def _work(function: Callable[..., Any], arguments: dict[str, Any], threads: int) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # else each process would take every core
    torch.set_num_threads(threads)
    try:
        function(**arguments)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _reason(failure: ProcessFailure) -> str:
    """The message of one of baimu's own errors; of any other its traceback; of a process that was killed, by what."""
    told: Any = failure.message
    if not isinstance(told, dict) and failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        return f"was killed ({name}), most often because memory has run out; continue with resume=True"
    if not isinstance(told, dict):
        return str(told)
    kind, _, message = told["message"].partition(": ")
    return message if hasattr(errors, kind) else told.get("extraInfo", {}).get("py_callstack", told["message"])
