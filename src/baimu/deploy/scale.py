"""``baimu.predict_many``: millions of images over the machines of a Ray cluster, to the files of one machine."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from baimu.deploy.crew import Crew, Progress
from baimu.deploy.shards import Job, begin
from baimu.deploy.shipment import Shipment, pack
from baimu.deploy.worker import Work, Worker
from baimu.errors import BaimuError, DataError
from baimu.inference.predictor import OnError, Predictor, load_model
from baimu.inference.tasks import medium_of
from baimu.results.records import Records
from baimu.results.result import extra
from baimu.weights.cache import alone, digest

FOLDER = ".shards"
"""Of what is done so far, in the folder of the pictures."""
READERS = 4
"""Most threads that read and resize ahead of a GPU."""


class Mapped(NamedTuple):
    """What :func:`predict_many` did."""

    images: int
    unread: int  # of all, images that could not be read
    before: int  # images that an earlier run had done
    deaths: int  # workers that were lost and replaced


def predict_many(
    model: str | Path,
    sources: str | Path | Sequence[str],
    out: str | Path,
    *,
    json: TextIO | None = None,
    csv: TextIO | None = None,
    maps: str | Path | None = None,
    address: str | None = None,
    workers: int | None = None,
    batch_size: int = 1,
    shard_size: int = 0,
    device: str | None = None,
    on_error: OnError = "stop",
    report: Callable[[Progress], None] = lambda progress: None,
    **options: Any,
) -> Mapped:
    """Look at every image of ``sources`` on a Ray cluster; pictures, JSON and CSV are those of ``baimu predict``.

    ``model``: a checkpoint, a run folder, an exported file or published weights; the cluster gets it from here.
    ``sources``: as of :func:`~baimu.inference.sources.image_names`, also ``"@names.txt"``. They, ``out`` (for
    pictures), ``maps`` (for a segmenter's label maps) and files in ``options`` have the same path on every node.
    ``address``: of the cluster, as Ray takes it; by default what ``RAY_ADDRESS`` says, else a cluster on this machine
    alone, for as long as this takes. ``workers``: processes that hold the model, by default as many as there are CPUs,
    or GPUs with ``device="cuda"``. ``shard_size``: images that are lost at most where a worker dies; 0: up to 256.
    ``on_error`` and ``options`` as of :func:`baimu.predict`.

    What is done lies in ``out/.shards`` until all is. The same call goes on where an earlier one ended, however it
    ended. Raises :class:`~baimu.errors.DataError` where settings or images differ from those of the call that began,
    for sources that are missing, for videos and cameras, and where a shard has killed three workers;
    :class:`~baimu.errors.ImageError` at an image that cannot be read, with ``on_error="stop"``.
    """
    try:
        ray = extra("ray")
    except ImportError as error:
        raise BaimuError(f"--engine ray: {error}") from None
    sources = [str(sources)] if isinstance(sources, str | Path) else sources
    out, maps = Path(out), None if maps is None else Path(maps)
    _check(model, device, options)
    shipment = pack(model)
    settings = _settings(
        shipment,
        options,
        model=str(model),
        sources=list(sources),
        maps=None if maps is None else str(maps),
        batch_size=batch_size,
        shard_size=shard_size,
        device=device,
        on_error=on_error,
    )
    with _alone(out):
        job = begin(out / FOLDER, sources, settings, batch_size=batch_size, size=shard_size)
        done = job.done()
        missing = sum(1 for number, _ in job.shards() if number not in done)
        last = Progress(job.images, job.images, job.images, 0, (), 0, 0.0)
        if missing:
            with _cluster(ray, address, workers) as resources:
                count, needs, threads = _share(resources, device, workers)
                readers = threads if device == "cuda" else 0
                work = Work(job, os.getcwd(), out, maps, on_error, device, threads, readers, options)
                crew = Crew(ray, ray.remote(**needs)(Worker).remote, shipment, work, settings["baimu"])
                last = crew.run(job, done, min(count, missing), report)
        unread = _merge(job, json, csv, errors=on_error == "record")
        job.remove()
        if maps is not None:
            shutil.rmtree(maps / FOLDER, ignore_errors=True)
    return Mapped(job.images, unread, last.before, last.deaths)


def _check(model: str | Path, device: str | None, options: Mapping[str, Any]) -> None:
    """What every worker would say, said before there are any."""
    network = load_model(model)
    if not medium_of(network).drawn:
        raise BaimuError(f"{model}: looks at texts; give those to baimu predict without --engine ray")
    Predictor(network, fold=False, **options)
    if device is not None and device.startswith("cuda:"):
        raise BaimuError(f"device {device!r}: every worker sees one GPU, that Ray chooses; say cuda")


def _settings(shipment: Shipment, options: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """All that the results depend on, as JSON has it."""
    from baimu import __version__

    told = {name: _told(value) for name, value in sorted(options.items())}
    return {"baimu": __version__, "sha256": shipment.sha256, **others, "options": told}


def _told(value: Any) -> Any:
    if isinstance(value, Path):
        return f"{value} {digest(value)[:16]}" if value.is_file() else str(value)
    return value if isinstance(value, bool | int | float | str | None) else repr(value)


def _merge(job: Job, json: TextIO | None, csv: TextIO | None, *, errors: bool) -> int:
    unread = 0
    with Records(json, csv, errors=errors) as records:
        for answer in job.answers():
            unread += "error" in answer.record
            records.add(*answer)
    return unread


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """No other call works at the same job."""

    def refuse() -> None:
        raise DataError(f"{out}: another baimu predict is at work here; wait for its end, or choose another folder")

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); choose another folder") from None
    with alone(out / FOLDER, waiting=refuse):
        yield


@contextlib.contextmanager
def _cluster(ray: Any, address: str | None, workers: int | None) -> Iterator[dict[str, float]]:
    """The resources of the cluster, connected to inside. One that this process is connected to already is left so."""
    if ray.is_initialized():
        yield ray.cluster_resources()
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":  # for this machine's ears only, and nothing is told to anybody
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        settings |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "num_cpus": workers}
    with keeping_sigterm():
        try:
            ray.init(address, **settings)
        except Exception as error:  # Ray has no kind of its own for what goes wrong here
            reason = str(error).strip().partition("\n")[0]
            none = (
                "no cluster can be begun on this machine" if address == "local" else "no cluster can be reached there"
            )
            raise BaimuError(f"Ray, {address}: {none} ({reason}); try again, or name one with --address") from None
        try:
            yield ray.cluster_resources()
        finally:
            ray.shutdown()


@contextlib.contextmanager
def keeping_sigterm() -> Iterator[None]:
    """What SIGTERM does afterwards is what it did before: Ray leaves a handler of its own behind."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _share(
    resources: Mapping[str, float], device: str | None, workers: int | None
) -> tuple[int, dict[str, float], int]:
    """How many workers there shall be, what Ray keeps for each, and its threads."""
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    if device != "cuda":
        return workers or max(1, cpus), {"num_cpus": 1}, 1
    if not gpus:
        raise BaimuError("device 'cuda': the cluster has no GPUs; leave --device out, or add nodes that have some")
    threads = max(1, min(READERS, cpus // gpus))
    return workers or gpus, {"num_cpus": threads, "num_gpus": 1}, threads
