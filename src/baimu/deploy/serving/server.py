"""``baimu.serve``: models behind HTTP, until it is told to end."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baimu.errors import BaimuError

if TYPE_CHECKING:
    from torch import nn

    from baimu.deploy.serving.limits import Limits

NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def serve(
    model: nn.Module | str | Path | Sequence[Any] | Mapping[str, Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    max_batch: int = 8,
    window: float = 0.0,
    threads: int | None = None,
    readers: int = 2,
    device: str | None = None,
    optimize: bool = False,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Sequence[str] | None = None,
    allow: Sequence[str] = (),
    block: bool = True,
    told: Callable[[Server], None] | None = None,
    **options: Any,
) -> Server:
    """Answer requests for predictions over HTTP (needs the extra ``serve``).

    ``model`` is a model, what :func:`baimu.load` takes, a list of those, or a mapping of names to them; the first is
    the one of ``POST /predict``, all have ``POST /models/NAME/predict``. Answers are those of :func:`baimu.predict`
    with ``mix_sizes=False`` and the same ``options``, which a request may state in its query, too: those of them that
    name no file and cost little, and the names of ``allow``.

    A batch of at most ``max_batch`` takes what waits when the network is free; with ``window`` (seconds) it also waits
    so long for more. ``threads`` of torch compute, ``readers`` decode. ``limits`` bound body, pixels, files, queue and
    time (:class:`~baimu.deploy.serving.limits.Limits`). ``optimize`` takes the fastest way to run each model on this
    machine, found when it is loaded, which takes up to two minutes. ``token`` opens ``POST /models/NAME/reload`` to
    who states it.
    ``hosts``: names that a request may call the server by, ``*`` any; by default those of this machine where ``host``
    is one of them, else all. ``told`` hears of the server when it takes connections. Among the ``options``
    ``precision`` and ``mix_sizes`` are as of :func:`baimu.predict`.

    It returns when Ctrl-C or SIGTERM ended it, all begun requests answered; SIGHUP loads the models anew. With
    ``block=False`` it serves in a thread, until the :class:`Server` that comes back is stopped.

    Raises :class:`~baimu.errors.BaimuError` where a package is missing, the address is taken, or a model cannot serve.
    """
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError:
            raise BaimuError(f"serving needs {name}; install it with: pip install 'baimu[serve]'") from None
    from baimu.deploy.serving.limits import Limits
    from baimu.deploy.serving.models import Setup

    run = {key: options.pop(key) for key in ("precision", "mix_sizes") if key in options}
    setup = Setup(
        max_batch=max_batch,
        window=window,
        threads=threads,
        readers=readers,
        device=device,
        optimize=optimize,
        options=options,
        allow=allow,
        limits=limits or Limits(),
        **run,
    )
    server = Server(model, setup, host=host, port=port, token=token, hosts=hosts, told=told)
    if block:
        server.run()
    else:
        server.start()
    return server


class Server:
    """Models behind HTTP. ``url`` is its address; ``reload`` and ``swap`` put a model in the place of another."""

    def __init__(
        self,
        model: Any,
        setup: Any,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        token: str | None = None,
        hosts: Sequence[str] | None = None,
        told: Callable[[Server], None] | None = None,
    ) -> None:
        import uvicorn

        from baimu.deploy.serving.answering import Answering
        from baimu.deploy.serving.app import make_app
        from baimu.deploy.serving.connections import Listener, TimedProtocol
        from baimu.deploy.serving.figures import Figures
        from baimu.deploy.serving.guard import LOOPBACK
        from baimu.deploy.serving.registry import Registry, names_of

        several = isinstance(model, Sequence) and not isinstance(model, str)
        named = dict(model) if isinstance(model, Mapping) else names_of(list(model) if several else [model])
        limits, figures = setup.limits, Figures()
        self._socket = bind(host, port)
        name, port = self._socket.getsockname()[:2]
        self.url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
        with contextlib.ExitStack() as undo:
            undo.callback(self._socket.close)
            self.registry = Registry(named, setup, figures)
            self._answering = Answering(self.registry, limits, figures)
            undo.pop_all()
        known = [*LOOPBACK, *(hosts or ())] if hosts or host in (*LOOPBACK, "::1") else []
        self.app = make_app(self.registry, self._answering, figures, token=token, hosts=() if "*" in known else known)
        config = uvicorn.Config(
            self.app,
            http=functools.partial(TimedProtocol, seconds=limits.read_seconds),  # pyright: ignore[reportArgumentType]
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections + 1,
            timeout_graceful_shutdown=int(limits.seconds) + 5,
        )
        self._ready = threading.Event()
        self._told = told
        self._listener = Listener(config, self._listening, self.registry.reload_all)
        self._thread: threading.Thread | None = None
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)

    def run(self) -> None:
        """Serve in this thread until it is told to end."""
        try:
            self._listener.run([self._socket])
        finally:
            self._ready.set()
            self._socket.close()
            self._answering.close()
            self.registry.close()

    def start(self) -> Server:
        """Serve in a thread; returns when connections are taken."""
        self._thread = threading.Thread(target=self.run, name="baimu-serve", daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def stop(self) -> None:
        """Take no new requests, answer the begun ones, end."""
        self._listener.should_exit = True
        if self._thread is not None:
            self._thread.join()

    def reload(self, name: str) -> None:
        """Load a model anew from where it came; requests go on meanwhile, and none fails."""
        self.registry.reload(name)

    def swap(self, name: str, model: nn.Module) -> None:
        """Let another model answer under this name."""
        self.registry.swap(name, model)

    def __enter__(self) -> Server:
        return self if self._thread else self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _listening(self) -> None:
        self._ready.set()
        if self._told is not None:
            self._told(self)


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address, before any model is loaded for it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        raise BaimuError(f"{host}:{port}: cannot be listened on ({error}); choose another host or port") from None
    return bound
