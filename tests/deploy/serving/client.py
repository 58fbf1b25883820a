"""A client of one request a connection, and images for it."""

from __future__ import annotations

import http.client
import io
import json
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

BOUNDARY = "1f2e3d"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of an error, which has no other keys."""
        error = self.json["error"]
        assert set(self.json) == {"error"}
        assert set(error) == {"code", "message"}
        return error["code"]


def ask(url: str, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> Answer:
    """One request; header names with underscores for dashes."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, named)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def encoded(image: np.ndarray, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, form)
    return buffer.getvalue()


def multipart(*files: bytes, name: str = "a.png", boundary: str = BOUNDARY) -> bytes:
    """The files as a form."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
        + b"Content-Type: image/png\r\n\r\n"
        + file
        + b"\r\n"
        for file in files
    ]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


FORM = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}"}


def figure(url: str, name: str) -> float:
    """The sum over all labels of one of the server's figures."""
    lines = ask(url, "/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)
