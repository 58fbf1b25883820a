"""What stands before every route: the names that this host answers to, and what a browser may do with an answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Guard:
    """An ASGI application around another. ``hosts``: names that a request may call the server by; empty: all. Without
    such a list a web page anywhere could have its own name lead to this machine and read the answers."""

    def __init__(self, app: App, hosts: Iterable[str] = ()) -> None:
        self.app, self.hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        named = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        if not self.hosts or _without_port(named) in self.hosts:
            await self.app(scope, receive, guarded)
            return
        error = {"error": {"code": "unknown_host", "message": "this server is not called by that name"}}
        await guarded(
            {"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"application/json")]}
        )
        await guarded({"type": "http.response.body", "body": json.dumps(error).encode()})


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host
