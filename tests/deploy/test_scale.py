"""A cluster gives the files of one machine, whoever is killed on the way: nothing is lost, nothing stands twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from baimu.cli import scaling
from baimu.cli.main import app
from baimu.deploy import scale
from baimu.deploy.crew import Progress
from baimu.deploy.scale import keeping_sigterm, predict_many
from baimu.errors import BaimuError, DataError, ImageError
from tests.deploy.conftest import patiently


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def predicted(model: Path, photos: Path, to: Path, *words: object) -> str:
    """``baimu predict`` with all its files in ``to``."""
    places = ("--out", to / "out", "--json", to / "a.json", "--csv", to / "a.csv", "--maps", to / "maps")
    to.mkdir()
    done = run("predict", model, photos, *places, *words)
    assert done.exit_code == 0, done.output
    return done.output


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def once(act: Callable[[Progress], None], after: int) -> Callable[[Progress], None]:
    """A report that acts one time, when so many images are done."""
    acted = []

    def report(progress: Progress) -> None:
        if progress.done >= after and not acted:
            acted.append(act(progress))

    return report


@pytest.mark.timeout(300)
def test_a_worker_is_killed_and_the_files_are_those_of_one_machine(
    cluster: Any, segmenter: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "0" / "4.png").write_bytes(b"no image")
    (photos / "2" / "0.png").write_bytes(b"")
    words = ("--on-error", "record", "--batch-size", 3)
    predicted(segmenter, photos, tmp_path / "local", *words)

    killed = []

    def kill(progress: Progress) -> None:
        killed.append(int(progress.workers[0].rpartition(":")[2]))
        os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(scaling, "_Line", lambda: once(kill, 3))
    said = predicted(segmenter, photos, tmp_path / "ray", *words, "--engine", "ray", "--workers", 2)
    assert len(killed) == 1
    assert "40 images, 2 not read, 1 workers lost and replaced" in said

    local, ray = files(tmp_path / "local"), files(tmp_path / "ray")
    assert ray == local
    assert len([name for name in ray if name.startswith("out/")]) == 38
    assert len([name for name in ray if name.startswith("maps/")]) == 38
    assert [len(record) for record in json.loads(ray["a.json"])].count(2) == 2


@pytest.mark.timeout(300)
def test_the_driver_is_killed_then_a_node_and_only_the_rest_is_done(
    cluster: Any, segmenter: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run has a node less after a while, and still does each missing shard one time."""
    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1"}
    extra = patiently(lambda: cluster.add_node(**node))
    predicted(segmenter, photos, tmp_path / "local")
    out = tmp_path / "ray" / "out"
    driver = f"""
import os, signal
from ray._private import services
from baimu import predict_many
from tests.deploy.conftest import loopback
services.node_ip_address_from_perspective = loopback
def report(progress):
    if progress.done >= 6:
        os.kill(os.getpid(), signal.SIGKILL)
predict_many({str(segmenter)!r}, [{str(photos)!r}], {str(out)!r}, maps={str(tmp_path / "ray" / "maps")!r},
    address={cluster.address!r}, workers=1, shard_size=1, report=report)
"""
    assert subprocess.run([sys.executable, "-c", driver]).returncode == -signal.SIGKILL
    before = settled(out / scale.FOLDER)
    assert 6 <= len(before) < 40

    kept: dict[str, int] = {}
    monkeypatch.setattr(scale.Job, "remove", lambda job: kept.update(times(job.folder)))
    with (tmp_path / "ray" / "a.json").open("w") as told, (tmp_path / "ray" / "a.csv").open("w") as table:
        done = predict_many(
            segmenter,
            [str(photos)],
            out,
            json=told,
            csv=table,
            maps=tmp_path / "ray" / "maps",
            shard_size=1,
            report=once(lambda _: cluster.remove_node(extra, allow_graceful=False), len(before) + 3),
        )
    assert (done.images, done.before, done.unread) == (40, len(before), 0)
    assert len(kept) == 40
    assert {name: time for name, time in kept.items() if name in before} == before
    found = files(tmp_path / "ray")
    assert {name: data for name, data in found.items() if scale.FOLDER not in name} == files(tmp_path / "local")


def times(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("0*.jsonl")}


def settled(folder: Path) -> dict[str, int]:
    """When the shards were written, once the workers of a dead driver are gone too."""
    before: dict[str, int] = {}
    while before != (before := times(folder)):
        time.sleep(3)
    return before


@pytest.mark.timeout(300)
def test_a_broken_image_stops_and_is_passed_over_by_the_next_call(
    cluster: Any, segmenter: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "1" / "2.png").write_bytes(b"no image")
    (tmp_path / "list.txt").write_text("".join(f"{photos}/1/{i}.png\n" for i in (0, 1, 3, 2, 4)))
    words = (
        "predict",
        segmenter,
        f"@{tmp_path}/list.txt",
        "--engine",
        "ray",
        "--out",
        tmp_path / "out",
        "--workers",
        1,
    )
    done = run(*words)
    assert done.exit_code == 2
    assert f"{photos}/1/2.png: is damaged" in done.stderr
    assert "--on-error record" in done.stderr
    assert not (tmp_path / "out" / "4.png").exists()
    done = run(*words, "--on-error", "record", "--csv", tmp_path / "a.csv")
    assert "5 images, 3 of them done before, 1 not read" in done.output
    told = [row for row in (tmp_path / "a.csv").read_text().splitlines() if "is damaged" in row]
    assert len(told) == 1
    assert told[0].startswith(f"{photos}/1/2.png,,,,,,")
    assert not (tmp_path / "out" / ".shards").exists()


def test_without_ray_the_way_to_it_is_told(
    segmenter: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = run("predict", segmenter, photos, "--engine", "ray", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "pip install 'baimu[ray]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_options_of_the_other_engine_are_refused(segmenter: Path, photos: Path) -> None:
    assert "is for --engine ray" in run("predict", segmenter, photos, "--workers", 2).stderr
    assert "unknown engine 'rey'. Did you mean ray?" in run("predict", segmenter, photos, "--engine", "rey").stderr


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        (["nowhere"], {}, "nowhere: there is no such file"),
        (["rtsp://127.0.0.1:1/a"], {}, "only single images"),
        (["@nowhere.txt"], {}, "@nowhere.txt: there is no such text file"),
        (["."], {"flup": 1}, "unknown option"),
        (["."], {"device": "cuda:1"}, "say cuda"),
    ],
)
def test_what_is_wrong_is_said_before_there_is_a_cluster(
    segmenter: Path, tmp_path: Path, sources: list[str], options: dict[str, Any], message: str
) -> None:
    pytest.importorskip("ray", reason="needs ray: pip install 'baimu[ray]'")
    with pytest.raises(BaimuError, match=message):
        predict_many(segmenter, sources, tmp_path / "out", address="127.0.0.1:1", **options)


def test_two_calls_do_not_work_at_one_job(segmenter: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs ray: pip install 'baimu[ray]'")
    with scale._alone(tmp_path / "out"), pytest.raises(DataError, match="another baimu predict is at work here"):
        predict_many(segmenter, [str(photos)], tmp_path / "out")


def test_an_error_of_a_worker_is_told_as_it_is_here() -> None:
    from baimu.deploy.crew import _told

    class Wrapped(Exception):
        cause: Exception

    error = Wrapped()
    error.cause = ImageError("a.jpg: damaged")
    assert isinstance(_told(error), ImageError)
    error.cause = ZeroDivisionError()
    assert _told(error) is error


def test_what_sigterm_does_stays_as_it_was() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with keeping_sigterm():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == before
