"""A local HTTP server that behaves as badly as real ones: what it does with a path is said by that path's plan."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Plan:
    """How one path is answered. ``first`` lists what happens to the first requests, before all goes well."""

    content: bytes = b""
    etag: str | None = '"1"'
    modified: str | None = None
    ranges: bool = True  # whether Range is honoured
    kind: str = "application/octet-stream"
    location: str | None = None  # redirect to there
    first: list[int | str] = field(default_factory=list)  # a status, "cut", "stall", "wrong place"
    cut_at: int = 0  # bytes of an answer that is cut or stalls
    always: int | str | None = None
    retry_after: str | None = None
    slow: float = 0.0  # seconds between pieces of 64 KiB


class Server:
    """``plans`` by path; ``asked`` holds (path, Range header) of every request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.plans: dict[str, Plan] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.released = threading.Event()  # ends all stalls

    def put(self, path: str, content: bytes = b"", **plan) -> str:
        self.plans[path] = Plan(content, **plan)
        return f"{self.url}{path}"

    def ranges(self, path: str) -> list[str | None]:
        return [asked for name, asked in self.asked if name == path]


@contextmanager
def serve() -> Iterator[Server]:
    """On a free port of this machine, until the block ends."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_port}")
    http.state = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        state: Server = self.server.state  # type: ignore[attr-defined]
        asked = self.headers.get("Range")
        state.asked.append((self.path, asked))
        plan = state.plans.get(self.path)
        if plan is None:
            self.send_error(404)
            return
        mood = plan.first.pop(0) if plan.first else plan.always
        if isinstance(mood, int):
            self._refuse(mood, plan)
        elif plan.location is not None:
            self.send_response(302)
            self.send_header("Location", plan.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(state, plan, asked, mood)

    def _refuse(self, status: int, plan: Plan) -> None:
        self.send_response(status)
        if plan.retry_after is not None:
            self.send_header("Retry-After", plan.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, state: Server, plan: Plan, asked: str | None, mood: str | None) -> None:
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and plan.ranges else 0
        if self.headers.get("If-Range") not in (None, plan.etag, plan.modified):
            start = 0
        if start and start >= len(plan.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(plan.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        place = start + 1 if mood == "wrong place" else start
        body = plan.content[place:]
        if start:
            self.send_header("Content-Range", f"bytes {place}-{len(plan.content) - 1}/{len(plan.content)}")
        for name, value in (("ETag", plan.etag), ("Last-Modified", plan.modified), ("Content-Type", plan.kind)):
            if value is not None:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if mood in ("cut", "stall", "reset"):
            self.wfile.write(body[: plan.cut_at])
            self.wfile.flush()
            if mood == "reset":  # the connection ends with a packet that says so, not with an end
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            if mood == "stall":
                state.released.wait(20)
            self.close_connection = True
            return
        for piece in range(0, len(body), 1 << 16):
            self._write(body[piece : piece + (1 << 16)])
            time.sleep(plan.slow)

    def _write(self, piece: bytes) -> None:
        try:
            self.wfile.write(piece)
        except (BrokenPipeError, ConnectionResetError):  # the client was killed, as some tests do
            self.close_connection = True
