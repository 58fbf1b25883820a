"""From the body of a request to what a model looks at. Everything is judged by its content: names and types that the
client states are not looked at, no name of a file is used, and nothing is fetched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from baimu.datasets.decoders import SCANS
from baimu.datasets.images import decode_image, image_size
from baimu.deploy.serving.limits import SLOWEST, Limits, Refusal
from baimu.errors import ImageError
from baimu.inference.sources import Item


async def read_body(
    receive: Callable[[], Awaitable[Any]],
    headers: Mapping[str, str],
    limits: Limits,
    hold: Callable[[int], bool],
) -> bytes:
    """The body of a request, as it comes. ``hold`` takes from the budget of all bodies.

    Refused: larger than ``limits.body_bytes``, before it is read (413); compressed (415); slower than
    ``limits.read_seconds`` and :data:`~baimu.deploy.serving.limits.SLOWEST` allow (408); no budget left (429); and one
    whose client has gone (400).
    """
    import asyncio

    if headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "compressed_body", "send the body without Content-Encoding")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.body_bytes:
        raise too_large(limits)
    loop, parts, size = asyncio.get_running_loop(), [], 0
    began = loop.time()
    try:
        async with asyncio.timeout(limits.read_seconds) as clock:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "gone", "the client has gone")
                part = message.get("body", b"")
                size += len(part)
                if size > limits.body_bytes:
                    raise too_large(limits)
                if not hold(len(part)):
                    raise Refusal(429, "busy", "the server holds as many bodies as it may", {"Retry-After": "1"})
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
                clock.reschedule(began + limits.read_seconds + size / SLOWEST)
    except TimeoutError:
        raise Refusal(408, "slow_body", "the body came too slowly") from None


def too_large(limits: Limits) -> Refusal:
    return Refusal(413, "body_too_large", f"a body has at most {limits.body_bytes} bytes here")


def split(body: bytes, content_type: str, limits: Limits) -> list[bytes]:
    """The files of a multipart body, in order; any other body is one file."""
    from python_multipart.multipart import parse_options_header

    kind, parameters = parse_options_header(content_type)
    is_form = kind == b"multipart/form-data"
    parts = _parts(body, parameters.get(b"boundary", b""), limits) if is_form else [body]
    if not parts or not all(parts):
        raise Refusal(400, "empty", "there is no file in the request; send an image as the body, or as multipart files")
    return parts


def _parts(body: bytes, boundary: bytes, limits: Limits) -> list[bytes]:
    """The contents of all parts; a body that ends before its last boundary is broken."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    parts: list[bytearray] = []
    ended: list[bool] = []

    def begin() -> None:
        if len(parts) == limits.files:
            raise Refusal(413, "too_many_files", f"a request has at most {limits.files} files here")
        parts.append(bytearray())

    def data(chunk: bytes, start: int, end: int) -> None:
        parts[-1] += memoryview(chunk)[start:end]

    callbacks: Any = {"on_part_begin": begin, "on_part_data": data, "on_end": lambda: ended.append(True)}
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError):
        ended.clear()
    if not boundary or not ended:
        raise Refusal(400, "broken_multipart", "the multipart body is broken; send it whole, with its boundary")
    return [bytes(part) for part in parts]


def image_item(data: bytes, position: int, pixels: int) -> Item:
    """An image as :func:`baimu.predict` names those of a list; its pixels are not kept, for they can be read again."""
    return Item(f"image {position}", partial(read_image, data, pixels), is_file=True)


def text_item(data: bytes, position: int) -> Item:
    """A text, never the name of a file."""
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise Refusal(415, "not_text", "the body is not text in UTF-8") from None
    if not text:
        raise Refusal(400, "empty", "there is no text in the request")
    return Item(f"text {position}", partial(str, text))  # pyright: ignore[reportArgumentType]


def read_image(data: bytes, pixels: int) -> np.ndarray:
    """RGB uint8 (H, W, 3), by the rules of files. Refused: no image (415), too many pixels (413), damaged (422)."""
    large = Refusal(413, "too_many_pixels", f"an image has at most {pixels} pixels here")
    try:
        height, width = image_size(data)
    except ImageError as error:
        if error.too_large:
            raise large from None
        message = "the file is not an image that can be read here, such as JPEG, PNG, WebP, TIFF, BMP or GIF"
        raise Refusal(415, "not_an_image", message) from None
    if height * width > pixels:
        raise large
    if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > SCANS:
        raise Refusal(413, "too_many_scans", f"a JPEG has at most {SCANS} scans here")
    try:
        return decode_image(data)
    except ImageError:
        raise Refusal(422, "damaged_image", "the image is damaged or truncated") from None
