"""Fetching one file over HTTP so that under its name there is never anything but the whole, checked file.

What has arrived lies in ``<name>.part`` and is continued by the next attempt, in this process or a later one, as long
as the server says that the file is still the same (its ETag or date, kept in ``<name>.part.stamp``).
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import itertools
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from baimu.errors import DownloadError
from baimu.weights.cache import Part, alone, digest, fits

Report = Callable[[int, int | None], None]  # bytes that are here, bytes of the whole file if known

_CHUNK = 1 << 18
_PATIENCE = 60.0  # longest pause between attempts, seconds


def is_offline() -> bool:
    """Whether ``BAIMU_OFFLINE`` forbids the network: set, and neither empty nor ``0``."""
    return os.environ.get("BAIMU_OFFLINE", "0") not in ("", "0")


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    report: Report = lambda here, whole: None,
    timeout: float = 30.0,
    attempts: int = 5,
    pause: float = 1.0,
) -> Path:
    """Fetch ``url`` to ``path`` and return ``path``. Several processes may ask at once: one fetches, the others wait.

    ``sha256``: all 64 digits or as many as are published; a file at ``path`` that has them is not fetched again.
    ``timeout``: seconds without a byte after which an attempt has failed. ``attempts``: after a server's passing error,
    a stall or a broken connection the transfer goes on where it stopped, ``pause`` seconds later, doubled each time;
    the count begins anew after an attempt that brought more than a quarter of a MiB.

    Raises :class:`~baimu.errors.DownloadError` that names the address, the path and the mend.
    """
    if is_offline():
        raise DownloadError(f"{url}: not fetched, for BAIMU_OFFLINE is set")
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: only http and https addresses are fetched")
    part = Part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path, waiting=lambda: report(part.size, None)):
            if path.exists() and (sha256 is None or fits(path, sha256)):
                return path  # fetched by another process while this one waited
            resumed = part.size > 0
            _receive(url, part, report, timeout, attempts, pause)
            if resumed and sha256 is not None and not fits(part.path, sha256):
                part.clear()  # its beginning was another file's, or damaged: once more, from the start
                _receive(url, part, report, timeout, attempts, pause)
            _check(url, part, sha256)
            part.finish()
    except OSError as error:
        raise DownloadError(_cannot_write(error, path, part)) from error
    return path


class _Passing(Exception):
    """An attempt failed in a way that the next may not; ``wait`` is the pause that the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def _receive(url: str, part: Part, report: Report, timeout: float, attempts: int, pause: float) -> None:
    """Attempts until the part is whole."""
    failed = 0
    while True:
        before = part.size
        try:
            _attempt(url, part, report, timeout)
            return
        except _Passing as error:
            failed = 1 if part.size > before + _CHUNK else failed + 1
            if failed >= attempts:
                kept = f"; {_mib(part.size)} are kept, and the next try goes on from there" if part.size else ""
                raise DownloadError(f"{url}: {error}, {failed} times in a row{kept}") from error.__cause__
            time.sleep(min(_PATIENCE, max(error.wait, pause * 2 ** (failed - 1))))


def _attempt(url: str, part: Part, report: Report, timeout: float) -> None:
    headers = {"User-Agent": "baimu", "Accept-Encoding": "identity"}
    stamp = part.stamp
    if part.size and stamp:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": stamp}
    try:
        answer = _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            _judge(url, error, part)
    except (OSError, http.client.HTTPException) as error:
        raise _broken(url, getattr(error, "reason", error), timeout) from error
    else:
        with answer:
            _save(url, answer, part, report, timeout)


def _save(url: str, answer: Any, part: Part, report: Report, timeout: float) -> None:
    """Append what the server sends, or begin anew if it sends the whole file or another one."""
    place = _place(answer, part)
    if place is None:
        part.clear()
        raise _Passing("the server continued at another place or another file")
    offset, whole = place
    chunks = _chunks(url, answer, timeout)
    first = next(chunks, b"")
    page = first.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
    if answer.headers.get_content_type() == "text/html" or (offset == 0 and page):
        raise DownloadError(_web_page(url))  # before anything is written: what has arrived so far may still be good
    if offset == 0:
        part.begin(_stamp(answer))
    free = shutil.disk_usage(part.path.parent).free
    if whole is not None and whole - offset > free:
        raise DownloadError(
            f"{part.final}: {_mib(whole - offset)} are still to come and {_mib(free)} are free; "
            "make room, or set BAIMU_CACHE to a folder on another disk"
        )
    with part.path.open("ab") as file:
        report(offset, whole)
        for chunk in itertools.chain([first], chunks):
            file.write(chunk)
            offset += len(chunk)
            report(offset, whole)
    if whole is not None and offset < whole:
        raise _Passing(f"the connection ended after {_mib(offset)} of {_mib(whole)}")


def _chunks(url: str, answer: Any, timeout: float) -> Iterator[bytes]:
    """The bytes as they arrive; what fails here is the network, never the disk."""
    while True:
        try:
            chunk = answer.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(url, error, timeout) from error
        if not chunk:
            return
        yield chunk


def _place(answer: Any, part: Part) -> tuple[int, int | None] | None:
    """Where the answer's bytes belong and how long the file is; None, if they continue something that is not here."""
    if answer.status != 206:
        length = answer.headers.get("Content-Length")
        return 0, None if length is None else int(length)
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != part.size or _stamp(answer) not in ("", part.stamp):
        return None
    return part.size, None if found[2] == "*" else int(found[2])


def _stamp(answer: Any) -> str:
    """What names this version of the file: a strong ETag (a weak one may not be resumed by), else its date."""
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")


def _judge(url: str, error: urllib.error.HTTPError, part: Part) -> None:
    """What to do after an answer that is not a file: return (it is here already), try again, or give up."""
    if error.code == 416:  # nothing after what is here: the part is whole, or it is another file's
        if error.headers.get("Content-Range") == f"bytes */{part.size}":
            return
        part.clear()
        raise _Passing("the server has less than what is here already") from error
    if error.code in (429, 500, 502, 503, 504):
        asked = error.headers.get("Retry-After", "")
        raise _Passing(f"the server answered {error.code} {error.reason}", float(asked) if asked.isdigit() else 0.0)
    if 300 <= error.code < 400:
        raise _not_followed(url, error.headers.get("Location")) from error
    raise DownloadError(f"{url}: the server answered {error.code} {error.reason}") from error


def _broken(url: str, reason: Any, timeout: float) -> _Passing | DownloadError:
    """What a connection that failed is worth: a stall or a break may pass, no network and no trust will not."""
    if isinstance(reason, TimeoutError):
        return _Passing(f"nothing arrived for {timeout:g} seconds")
    if isinstance(reason, ConnectionError | http.client.HTTPException):
        return _Passing(f"the connection broke ({reason or type(reason).__name__})")
    return DownloadError(f"{url}: no connection ({reason})")


def _not_followed(url: str, target: str | None) -> DownloadError:
    return DownloadError(
        f"{url}: redirected to {target}, which is not followed: a circle, not http, or http where it was https"
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https to http, where anyone on the way could change the file."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if (
            urlsplit(newurl).scheme
            not in {"http": ("http", "https"), "https": ("https",)}[urlsplit(req.full_url).scheme]
        ):
            raise _not_followed(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """One that knows http and https (through the proxies of the environment), and no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _check(url: str, part: Part, sha256: str | None) -> None:
    if sha256 is None or fits(part.path, sha256):
        return
    found, size = digest(part.path), part.size
    part.clear()
    raise DownloadError(
        f"{url}: its sha256 is {found} ({_mib(size)}), and {sha256}… was published; it was not kept for {part.final}. "
        "Something on the way changed it, or its publisher did: try again; if it stays, do not use the file"
    )


def _cannot_write(error: OSError, path: Path, part: Part) -> str:
    if error.errno == errno.ENOSPC:
        kept = 0
        with contextlib.suppress(OSError):
            kept = part.size
        return f"{path}: the disk is full after {_mib(kept)}, which are kept; make room and try again"
    return f"{path}: cannot be written ({error.strerror or error}); set BAIMU_CACHE to a folder that can"


def _web_page(url: str) -> str:
    return (
        f"{url}: a web page came instead of the file. Something asks for a login, or a proxy or a quota stands in the "
        "way; open the address in a browser to see what it says"
    )


def _mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
