"""Connections whose client is too slow, and a server that ends, and loads its models anew, when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from baimu.deploy.serving.limits import SLOWEST

SLACK = 2.0
"""Seconds for the application to say what is wrong before the connection ends."""


class TimedProtocol(H11Protocol):
    """HTTP/1.1 where a request must come, and an answer be taken, within ``seconds``, and a second more for every
    :data:`~baimu.deploy.serving.limits.SLOWEST` bytes. (uvicorn itself waits without end for both.)"""

    def __init__(self, *arguments: Any, seconds: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seconds = seconds + SLACK
        self._heard, self._since = 0, 0.0
        self._unsent = 0
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reading = _stopped(self._reading)
        self._writing = _stopped(self._writing)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._reading is None:
            self._start_reading()
        self._heard += len(data)
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):  # the whole request is here
            self._reading = _stopped(self._reading)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._unsent = self.transport.get_write_buffer_size()
            self._writing = self.loop.call_later(self._seconds, self._check_writing)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._writing = _stopped(self._writing)

    def _start_reading(self) -> None:
        self._heard, self._since = 0, self.loop.time()
        self._reading = self.loop.call_later(self._seconds, self._check_reading)

    def _check_reading(self) -> None:
        until = self._since + self._seconds + self._heard / SLOWEST
        if self.loop.time() < until:
            self._reading = self.loop.call_at(until, self._check_reading)
        else:
            self.transport.abort()

    def _check_writing(self) -> None:
        left = self.transport.get_write_buffer_size()
        if self._unsent - left < SLOWEST * self._seconds:
            self.transport.abort()
        else:
            self._unsent = left
            self._writing = self.loop.call_later(self._seconds, self._check_writing)


def _stopped(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


class Listener(uvicorn.Server):
    """A server that SIGINT and SIGTERM end, after it has answered what it had begun, and to which SIGHUP says
    ``reload``. ``listening`` is called when connections are taken."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None], reload: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening, self._reload = listening, reload

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self._listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Any] = {signal.SIGINT: self.handle_exit, signal.SIGTERM: self.handle_exit}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = lambda number, frame: threading.Thread(target=self._reload, daemon=True).start()
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
