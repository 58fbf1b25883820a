"""Fifty hostile requests and a crowd of slow clients, with real requests between them: each is refused, none harms."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import struct
import threading
from typing import Any

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

import baimu
from baimu.deploy.serving.limits import Limits
from tests.deploy.serving.client import BOUNDARY, FORM, Answer, ask, encoded, figure, multipart
from tests.deploy.serving.test_limits import png_of, scans

LIMITS = Limits(body_bytes=1 << 20, pixels=4_000_000, files=4, read_seconds=0.5, seconds=20)
NOISE = encoded(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8))
TOLD = re.compile(rb"Traceback|File \"|/tmp|/home|/usr|\.py|site-packages|0x[0-9a-f]{6}")


def gif_of(width: int, height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0, 0, 0)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x44\1\0;"


def bmp_of(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def tiff_of(width: int, height: int) -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    rows = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + rows + bytes(4)


def text_bomb() -> bytes:
    """A PNG whose compressed comment is 200 MB long."""
    notes, buffer = PIL.PngImagePlugin.PngInfo(), io.BytesIO()
    notes.add_text("Comment", "a" * (200 << 20), zip=True)
    PIL.Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=notes)
    return buffer.getvalue()


def form(disposition: str, body: bytes = NOISE) -> bytes:
    """A form whose one part calls itself so."""
    return (
        f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        + body
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )


Hostile = tuple[str, bytes | None, dict[str, str], set[int]]


def requests() -> list[Hostile]:
    """(path, body, headers, statuses that are right)."""
    large = [(bytes(size), {413}) for size in (1 << 20 | 1, 3 << 20, 9 << 20)]
    large += [(NOISE + bytes(2 << 20), {413}), (multipart(bytes(2 << 20)), {413})]
    bombs = [png_of(50_000, 50_000), png_of(2**31 - 1, 2**31 - 1), png_of(2001, 2000), gif_of(65_535, 65_535)]
    bombs += [bmp_of(40_000, 40_000), tiff_of(100_000, 100_000), scans(2000)]
    wrong = [
        b"",
        b"\0" * 900,
        b"%PDF-1.7",
        b"MZ\x90\0",
        b"PK\x03\x04",
        b"#!/bin/sh\nrm -rf /",
        b"<?xml version='1.0'?>",
    ]
    wrong += [b"<svg><image href='http://127.0.0.1:1/'/></svg>", b"file:///etc/passwd", b"http://127.0.0.1:1/a.jpg"]
    wrong += [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"RIFF\xff\xff\xff\xffWEBPVP8 ", b"\xff\xd8\xff\xe0", NOISE[:60], NOISE[8:]]
    damaged = [NOISE[:-300], NOISE[:500] + bytes(200) + NOISE[700:], text_bomb(), gif_of(10, 10), tiff_of(10, 10)]
    forms = [multipart(NOISE)[:-9], multipart(NOISE)[30:], b"--" * 5000, b"\r\n--" * 5000, multipart(*[NOISE] * 5)]
    forms += [multipart(b"x") * 3, form('form-data; name="file"', b""), b"\r\n--1f2e3" * 40_000]
    named = [
        "../../../../etc/passwd",
        "..\\..\\boot.ini",
        "/dev/zero",
        "a\0b",
        "%2e%2e%2f" * 500,
        "'; DROP TABLE images",
    ]
    made: list[Hostile] = [("/predict", body, {}, right) for body, right in large]
    made += [("/predict", body, {}, {413}) for body in bombs]
    made += [("/predict", body, {"Content_Type": "image/jpeg"}, {400, 415, 422}) for body in wrong + damaged]
    made += [("/predict", body, FORM, {400, 413, 415}) for body in forms]
    made += [("/predict", form(f'form-data; name="file"; filename="{name}"'), FORM, {200, 400}) for name in named]
    made += [
        ("/models/..%2f..%2fetc%2fpasswd/predict", NOISE, {}, {404}),
        ("/../../etc/passwd", None, {}, {404}),
        ("/predict?score_threshold=1e999", NOISE, {}, {422}),
        ("/predict?lexicon=/etc/passwd", NOISE, {}, {422}),
        ("/predict?classes=" + "a," * 3000, NOISE, {}, {422}),
        ("/models/red/reload", b"", {}, {403}),
    ]
    return made


@contextlib.contextmanager
def dawdlers(url: str, count: int) -> Any:
    """Clients that send a byte now and then, or nothing, or half a body."""
    host, port = url.removeprefix("http://").split(":")
    ended, clients = threading.Event(), []
    beginnings = [
        b"",
        b"POST /predict HTTP/1.1\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n1",
    ]
    for i in range(count):
        clients.append(socket.create_connection((host, int(port)), timeout=10))
        clients[-1].sendall(beginnings[i % 3])

    def dribble() -> None:
        while not ended.wait(0.1):
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(b"x")

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        yield clients
    finally:
        ended.set()
        thread.join()
        for client in clients:
            client.close()


def test_fifty_hostile_requests_and_slow_clients_leave_it_serving(start, make_finder, picture, monkeypatch) -> None:
    monkeypatch.setattr("baimu.deploy.serving.connections.SLACK", 0.2)
    server = start({"red": make_finder()}, limits=LIMITS)
    good = encoded(picture(80, 120, (10, 10, 60, 50)))
    expected = [found.to_dict() for found in baimu.predict(make_finder(), good)]
    attacks = requests()
    assert len(attacks) >= 50
    seen: list[tuple[int, Answer]] = []
    with dawdlers(server.url, 60):
        for i, (path, body, headers, right) in enumerate(attacks):
            answer = ask(server.url, path, body, **headers)
            assert answer.status in right, (i, path, (body or b"")[:40], answer)
            seen.append((i, answer))
            if i % 5 == 0:
                assert ask(server.url, "/predict", good).json["results"] == expected
    for _, answer in seen:
        assert answer.status == 200 or answer.code
        assert not TOLD.search(answer.body), answer.body
    assert ask(server.url, "/predict", good).json["results"] == expected
    assert ask(server.url, "/health").json == {"status": "ok"}
    assert figure(server.url, "baimu_images_in_hand") == figure(server.url, "baimu_body_bytes") == 0
    monitor = server._listener.server_state.connections
    for _ in range(200):
        if len(monitor) == 0:
            break
        threading.Event().wait(0.05)
    assert len(monitor) == 0


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET " + b"a" * 100_000 + b" HTTP/1.1\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    ],
)
def test_what_is_no_http_is_refused(start, finder, text: bytes) -> None:
    server = start(finder, limits=LIMITS)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(text)
        said = client.recv(200)
    assert said == b"" or said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))
    assert ask(server.url, "/health").status == 200
