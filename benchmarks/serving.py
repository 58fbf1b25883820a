"""CPU and latency of servers of one ResNet-50, asked for JPEG files of photographs' size by 1, 8 and 64 clients.

    python benchmarks/serving.py --out benchmarks/results/serving.json [--precision bf16] [--seconds 8] [--threads 1]

``baimu serve`` as it comes against those of ``serving_peers.py``: FastAPI around ``model.predict`` and around
torchvision's eager network, and LitServe (``pip install litserve``; without it left out). All have the same parameters
and as many torch threads, and take turns: every round asks each of them, in another order. CPU is of all processes of a
server, the operating system's work for them included, over a round; the clients are another process. Each answer is
compared with the offline one of its image: the same class, and how far its probability is.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import importlib.util
import io
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

CLIENTS = (1, 8, 64)
IMAGES = 16
TICKS = os.sysconf("SC_CLK_TCK")
PEERS = {
    "FastAPI, model.predict": ["serving_peers.py", "predict"],
    "FastAPI, torchvision": ["serving_peers.py", "torchvision"],
    "litserve": ["serving_litserve.py"],
}


def files() -> list[bytes]:
    """JPEG files of 500 x 375 noise at several scales, as large as photographs are."""
    made = []
    for seed in range(IMAGES):
        rng = np.random.default_rng(seed)
        image = PIL.Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize((500, 375))
        pixels = np.asarray(image).astype(np.int16) + rng.integers(-12, 13, (375, 500, 1))
        buffer = io.BytesIO()
        PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
        made.append(buffer.getvalue())
    return made


def write_model(folder: Path) -> tuple[Path, Path]:
    """One set of parameters, as a checkpoint of ours and as torchvision's."""
    import torch
    import torchvision

    from baimu import create_model
    from baimu.weights.archive import write_archive
    from baimu.weights.checkpoint import describe
    from baimu.weights.keys import load_converted
    from baimu.weights.torchvision import SOURCE

    torch.manual_seed(0)
    peer = torchvision.models.resnet50(weights=None)
    torch.nn.init.normal_(peer.fc.weight, std=0.1)  # so that classes differ from image to image
    route = SOURCE.route("resnet50")
    ours: Any = create_model("resnet50", **route.arguments)
    load_converted(ours, peer.state_dict(), route)
    ours.preprocess = ours.preprocess.replace(resize="crop", size=224, crop_share=0.875)
    ours.classes = tuple(str(i) for i in range(1000))
    torch.save(peer.state_dict(), folder / "peer.pth")
    write_archive(folder / "net.safetensors", {f"model.{k}": v for k, v in ours.state_dict().items()}, describe(ours))
    return folder / "net.safetensors", folder / "peer.pth"


def offline(path: Path, precision: str, bodies: list[bytes]) -> list[tuple[str, float]]:
    """In a process of its own, so that its memory is not in the way of the rounds."""
    code = (
        "import sys, json, baimu, torch; torch.set_num_threads(1); bodies = [bytes.fromhex(l) for l in sys.stdin];"
        f"print(json.dumps([(r.name, r.score) for r in baimu.predict({str(path)!r}, bodies, precision={precision!r})]))"
    )
    given = "\n".join(body.hex() for body in bodies)
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, check=True)
    return [(name, score) for name, score in json.loads(done.stdout.splitlines()[-1])]


class Program:
    """One server as a process group of its own."""

    def __init__(self, command: list[str], port: int, *, json: bool = False) -> None:
        self.command, self.port, self.json = command, port, json
        self.process: Any = None

    def start(self, body: bytes) -> None:
        """Until it answers: one after the other, for to optimise means to measure."""
        self.process = subprocess.Popen(
            self.command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=sys.stderr
        )
        until, asked = time.monotonic() + 600, self.requests([body])[0]
        while time.monotonic() < until and self.process.poll() is None:
            try:
                Client(self.port).ask(asked)
                return
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.5)
        raise RuntimeError(f"the server on port {self.port} does not answer; it left {self.process.poll()}")

    def requests(self, bodies: list[bytes]) -> list[tuple[bytes, str]]:
        """Bodies with their content types: the files, or JSON of them, which is what LitServe hands to its workers."""
        if self.json:
            return [
                (json.dumps({"image": base64.b64encode(one).decode()}).encode(), "application/json") for one in bodies
            ]
        return [(one, "application/octet-stream") for one in bodies]

    def cpu(self) -> float:
        """Seconds of its processes and of those that they waited for."""
        return sum(times for _, times in _processes(os.getpgid(self.process.pid)))

    def stop(self) -> None:
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _processes(group: int) -> Iterator[tuple[int, float]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group:
                yield int(folder.name), sum(map(int, fields[11:15])) / TICKS


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, request: tuple[bytes, str]) -> tuple[str, float]:
        self.connection.request("POST", "/predict", request[0], {"Content-Type": request[1]})
        answer = self.connection.getresponse()
        told = json.loads(answer.read())
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {told}")
        best = told["results"][0]["classes"][0] if "results" in told else told
        return best["name"], best["score"]


def ask_for(
    port: int, count: int, seconds: float, asked: list[tuple[bytes, str]]
) -> list[tuple[int, str, float, float]]:
    """(image, name, score, seconds) of all answers that ``count`` clients got; each asks until the time is over."""
    rows: list[tuple[int, str, float, float]] = []
    errors: list[Exception] = []
    until = time.monotonic() + seconds

    def one(number: int) -> None:
        client, turn = Client(port), number
        try:
            while time.monotonic() < until:
                began = time.perf_counter()
                name, score = client.ask(asked[turn % IMAGES])
                rows.append((turn % IMAGES, name, score, time.perf_counter() - began))
                turn += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return rows


def measure(program: Program, count: int, seconds: float, bodies: list[bytes], known: list[tuple[str, float]]) -> Any:
    asked = program.requests(bodies)
    before, began = program.cpu(), time.perf_counter()
    rows = ask_for(program.port, count, seconds, asked)
    wall, cpu = time.perf_counter() - began, program.cpu() - before
    took = sorted(row[3] for row in rows)
    return {
        "requests": len(rows),
        "cpu_ms": 1e3 * cpu / len(rows),
        "per_second": len(rows) / wall,
        "p50_ms": 1e3 * took[len(took) // 2],
        "p99_ms": 1e3 * took[min(len(took) - 1, int(0.99 * len(took)))],
        "other_classes": sum(name != known[image][0] for image, name, _, _ in rows),
        "largest_difference": max(abs(score - known[image][1]) for image, _, score, _ in rows),
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def programs(folder: Path, threads: int, precision: str) -> dict[str, Program]:
    checkpoint, state = write_model(folder)
    same = ["--threads", str(threads), "--precision", precision]
    port = free_port()
    served = ["-m", "baimu", "serve", str(checkpoint), "--port", str(port), *same]
    made = {"baimu serve": Program([sys.executable, *served], port)}
    other = free_port()
    optimized = [str(other) if word == str(port) else word for word in served]
    made["baimu serve --optimize"] = Program([sys.executable, *optimized, "--optimize"], other)
    for name, (script, *kind) in PEERS.items():
        if name == "litserve" and importlib.util.find_spec("litserve") is None:
            print("litserve is not installed and left out", file=sys.stderr)
            continue
        port = free_port()
        given = [*kind, "--port", str(port), "--checkpoint", str(checkpoint), "--state", str(state), *same]
        command = [sys.executable, str(Path(__file__).with_name(script)), *given]
        made[name] = Program(command, port, json=name == "litserve")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serving.json"))
    parser.add_argument("--seconds", type=float, default=8.0, help="of one round of one server")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch, in each server")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # so that the servers end with it
    bodies = files()
    rounds: dict[str, dict[str, list[Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        running = programs(Path(folder), options.threads, options.precision)
        try:
            known = offline(Path(folder) / "net.safetensors", options.precision, bodies)
            for program in running.values():
                program.start(bodies[0])
            order = list(running.items())
            for count in CLIENTS:
                for _ in range(options.turns):
                    order.append(order.pop(0))
                    for name, program in order:
                        found = measure(program, count, options.seconds, bodies, known)
                        rounds.setdefault(str(count), {}).setdefault(name, []).append(found)
                        print(count, name, {key: round(value, 3) for key, value in found.items()}, flush=True)
        finally:
            for program in running.values():
                program.stop()
    results = {
        "processor": platform.processor() or platform.machine(),
        "threads": options.threads,
        "precision": options.precision,
        "classes_of_the_images": len({name for name, _ in known}),
        "clients": {count: {name: summary(rows) for name, rows in by.items()} for count, by in rounds.items()},
    }
    for count, by in results["clients"].items():
        for own in ("baimu serve", "baimu serve --optimize"):
            ours = by[own]["cpu_ms"]
            print(count, f"CPU of {own} to others", {name: round(ours / row["cpu_ms"], 3) for name, row in by.items()})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


def summary(rows: list[Any]) -> dict[str, float]:
    """Medians of the rounds; of what must not happen, the worst."""
    worst = {"other_classes": sum, "largest_difference": max, "requests": sum}
    return {key: worst.get(key, statistics.median)([row[key] for row in rows]) for key in rows[0]}


if __name__ == "__main__":
    main()
