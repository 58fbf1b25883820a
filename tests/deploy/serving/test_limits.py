"""Each bound of a server refuses what passes it, in JSON, without a path or a stack; and what is slow is let go."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import PIL.Image
import pytest

from baimu.deploy.serving.limits import Limits
from baimu.errors import BaimuError
from tests.deploy.serving.client import FORM, ask, encoded, figure, multipart


def png_of(width: int, height: int) -> bytes:
    """A PNG that states a size and holds hardly anything."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def scans(count: int) -> bytes:
    """A JPEG whose last scan comes so many times."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


class Slow:
    """Makes a finder's network wait until it is let go."""

    def __init__(self, finder: Any) -> None:
        self.finder, self.go, self.entered, self.calls = finder, threading.Event(), threading.Event(), 0
        detect = finder.detect

        def wait(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls > 1:  # the first is the trial of the loaded model
                self.entered.set()
                self.go.wait(20)
            return detect(*arguments)

        finder.detect = wait


@pytest.fixture
def slow(finder, monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(finder)


def test_bounds_are_above_zero() -> None:
    with pytest.raises(BaimuError, match="queue must be above 0"):
        Limits(queue=0)


def test_the_body_is_refused_before_it_has_come(start, finder) -> None:
    """By its stated length, not a byte of it sent; and by what has come, where no length is stated."""
    server = start(finder, limits=Limits(body_bytes=10_000))
    host, port = server.url.removeprefix("http://").split(":")
    for stated in ("Content-Length: 20000", "Transfer-Encoding: chunked"):
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(f"POST /predict HTTP/1.1\r\nHost: localhost\r\n{stated}\r\n\r\n".encode())
            if "chunked" in stated:
                client.sendall(b"2ee0\r\n" + bytes(12_000) + b"\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 413")
    answer = ask(server.url, "/predict", bytes(300_000))
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert ask(server.url, "/predict", bytes(9000)).status == 415


def test_pixels_are_counted_before_they_are_decoded(start, finder) -> None:
    server = start(finder, limits=Limits(pixels=10_000))
    began = time.process_time()
    for width, height in ((101, 100), (60_000, 60_000), (2_000_000_000, 2)):
        answer = ask(server.url, "/predict", png_of(width, height))
        assert (answer.status, answer.code) == (413, "too_many_pixels")
    assert time.process_time() - began < 5
    assert ask(server.url, "/predict", encoded(np.zeros((100, 100, 3), np.uint8))).status == 200


def test_a_jpeg_of_endless_scans_is_not_decoded(start, finder) -> None:
    server = start(finder)
    assert ask(server.url, "/predict", scans(20)).status == 200
    answer = ask(server.url, "/predict", scans(5000))
    assert (answer.status, answer.code) == (413, "too_many_scans")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "empty"),
        (b"%PDF-1.7 not an image", 415, "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not_an_image"),
        (b"http://127.0.0.1/a.png", 415, "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not_an_image"),
        (encoded(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))[:2000], 422, "damaged_image"),
    ],
)
def test_the_type_is_that_of_the_content(start, finder, body: bytes, status: int, code: str) -> None:
    answer = ask(start(finder).url, "/predict", body, Content_Type="image/png")
    assert (answer.status, answer.code) == (status, code)


def test_a_wrong_name_and_type_do_not_matter(start, finder) -> None:
    image = encoded(np.zeros((40, 40, 3), np.uint8))
    server = start(finder)
    for kind in ("application/pdf", "text/html", "application/x-www-form-urlencoded"):
        assert ask(server.url, "/predict", image, Content_Type=kind).status == 200
    for name in ("../../../etc/passwd", "a.exe", "%2e%2e%2f", ""):
        answer = ask(server.url, "/predict", multipart(image, name=name), **FORM)
        assert answer.status == 200
        assert answer.json["results"][0]["source"] == "image 0"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (multipart(b"x")[:-8], FORM, 400, "broken_multipart"),
        (b"no boundary in here", FORM, 400, "broken_multipart"),
        (multipart(b"x"), {"Content_Type": "multipart/form-data"}, 400, "broken_multipart"),
        (multipart(), FORM, 400, "empty"),
        (multipart(b""), FORM, 400, "empty"),
        (multipart(*[b"x"] * 4), FORM, 413, "too_many_files"),
        (b"\x1f\x8b", {"Content_Encoding": "gzip"}, 415, "compressed_body"),
    ],
)
def test_broken_forms(start, finder, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    answer = ask(start(finder, limits=Limits(files=3)).url, "/predict", body, **headers)
    assert (answer.status, answer.code) == (status, code)


def test_a_full_queue_says_when_to_come_again(start, slow, picture) -> None:
    server = start(slow.finder, limits=Limits(queue=2))
    image = encoded(picture(40, 40, None))
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(ask, server.url, "/predict", image) for _ in range(2)]
        assert slow.entered.wait(10)
        while figure(server.url, "baimu_images_in_hand") < 2:
            time.sleep(0.01)
        full = ask(server.url, "/predict", image)
        busy = ask(server.url, "/ready")
        slow.go.set()
        assert [answer.result().status for answer in held] == [200, 200]
    assert (full.status, full.code) == (429, "busy")
    assert int(full.headers["retry-after"]) >= 1
    assert busy.status == 503
    assert ask(server.url, "/ready").status == 200
    three = ask(server.url, "/predict", multipart(image, image, image), **FORM)
    assert (three.status, three.code) == (429, "busy")


def test_all_bodies_together_are_bounded(start, finder) -> None:
    server = start(finder, limits=Limits(held_bytes=5000))
    answer = ask(server.url, "/predict", bytes(6000))
    assert (answer.status, answer.code) == (429, "busy")
    assert figure(server.url, "baimu_body_bytes") == 0


def test_a_request_is_given_up_in_time_and_the_next_is_answered(start, slow, picture) -> None:
    server = start(slow.finder, limits=Limits(seconds=0.3))
    image = encoded(picture(40, 40, None))
    late = ask(server.url, "/predict", image)
    assert (late.status, late.code) == (503, "too_slow")
    assert "retry-after" in late.headers
    slow.go.set()
    while figure(server.url, "baimu_batch_images_count") < 1:
        time.sleep(0.01)
    assert ask(server.url, "/predict", image).status == 200


def test_who_has_gone_is_not_worked_for(start, slow, picture) -> None:
    """Three clients leave while the network is at work: their images never reach it."""
    server = start(slow.finder)
    image = encoded(picture(40, 40, None))
    host, port = server.url.removeprefix("http://").split(":")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, server.url, "/predict", image)
        assert slow.entered.wait(10)
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(image)}\r\n\r\n".encode()
        clients = [socket.create_connection((host, int(port))) for _ in range(3)]
        for client in clients:
            client.sendall(head + image)
        while figure(server.url, "baimu_images_in_hand") < 4:
            time.sleep(0.01)
        for client in clients:
            client.close()
        while figure(server.url, "baimu_images_in_hand") > 1:
            time.sleep(0.01)
        slow.go.set()
        assert first.result().status == 200
    assert figure(server.url, "baimu_batch_images_sum") == 1


@pytest.mark.parametrize("sent", ["", "POST /predict HTT", "POST /predict HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_a_request_that_never_comes_is_hung_up_on(start, finder, monkeypatch, sent: str) -> None:
    monkeypatch.setattr("baimu.deploy.serving.connections.SLACK", 0.1)
    server = start(finder, limits=Limits(read_seconds=0.3))
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(sent.encode())
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
        assert 0.2 < time.monotonic() - began < 10


def test_a_body_that_comes_too_slowly_is_refused(start, finder, monkeypatch) -> None:
    server = start(finder, limits=Limits(read_seconds=0.3))
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n1234")
        assert client.recv(1000).startswith(b"HTTP/1.1 408")


def test_an_answer_that_is_not_taken_is_dropped(start, finder, monkeypatch) -> None:
    """A client asks for ten large pictures and takes none of them."""
    monkeypatch.setattr("baimu.deploy.serving.connections.SLACK", 0.1)
    server = start(finder, limits=Limits(read_seconds=0.3))
    host, port = server.url.removeprefix("http://").split(":")
    image = encoded(np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8), "PNG")
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nAccept: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect((host, int(port)))
    client.sendall(head.encode() + image)
    held = server._listener.server_state.connections
    while not any(connection.flow.write_paused for connection in list(held)):
        time.sleep(0.02)
    until = time.monotonic() + 10
    while held and time.monotonic() < until:
        time.sleep(0.02)
    assert not held
    client.close()


def test_another_name_of_this_machine_is_refused(start, finder) -> None:
    """A web page whose own name leads to 127.0.0.1 must not read answers."""
    server = start(finder)
    assert ask(server.url, "/models", Host="evil.example").code == "unknown_host"
    assert ask(server.url, "/models", Host="localhost:80").status == 200
    other = start(finder, hosts=["cells.example"])
    assert ask(other.url, "/models", Host="cells.example").status == 200
    assert ask(other.url, "/models").status == 200
    assert ask(start(finder, hosts=["*"]).url, "/models", Host="evil.example").status == 200


def test_a_taken_port_is_told_before_anything_is_loaded(start, finder) -> None:
    import baimu

    port = int(start(finder).url.rpartition(":")[2])
    with pytest.raises(BaimuError, match=f"{port}: cannot be listened on"):
        baimu.serve("no such model", port=port)


def test_a_failure_inside_says_nothing_of_the_inside(start, finder, picture) -> None:
    server = start(finder)

    def fail(*arguments: Any) -> Any:
        raise RuntimeError("/secret/path: out of memory")

    finder.detect = server.registry._models["redfinder"]._network.detect = fail
    answer = ask(server.url, "/predict", encoded(picture(40, 40, None)))
    assert (answer.status, answer.code) == (500, "internal")
    assert b"secret" not in answer.body
    assert ask(server.url, "/health").status == 200


def test_larger_pictures_and_many_classes_take_fewer_pixels() -> None:
    from types import SimpleNamespace

    from baimu.deploy.serving.limits import pixels_for

    limits = Limits(pixels=40_000_000)
    assert pixels_for(SimpleNamespace(task="generation", scale=4), limits) == 2_500_000
    assert pixels_for(SimpleNamespace(task="semantic_segmentation", classes=["a"] * 150), limits) == 2_666_666
    assert pixels_for(SimpleNamespace(task="detection"), limits) == 40_000_000
