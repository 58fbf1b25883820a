"""From a request for a prediction to its answer: what it asks for, its turn, and the result as JSON or as a picture."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from fastapi import Request, Response

from baimu.deploy.serving.figures import Figures
from baimu.deploy.serving.inputs import read_body, split
from baimu.deploy.serving.limits import Budget, Limits, Refusal
from baimu.deploy.serving.models import Served
from baimu.deploy.serving.options import Given
from baimu.deploy.serving.registry import Registry
from baimu.results import Result

log = logging.getLogger("baimu.serve")

JSON = "application/json"
PICTURES = {"image/png": "PNG", "image/jpeg": "JPEG"}
QUALITY = 90
"""Of a JPEG that is sent."""


class Answering:
    """Answers requests for predictions, within ``limits``."""

    def __init__(self, registry: Registry, limits: Limits, figures: Figures) -> None:
        self.registry, self.limits, self._figures = registry, limits, figures
        self.images, self.bytes = Budget(limits.queue), Budget(limits.held_bytes)
        self._writers = ThreadPoolExecutor(registry.setup.readers, thread_name_prefix="baimu-write")
        figures.in_hand(lambda: self.images.used, lambda: self.bytes.used)

    async def predict(self, request: Request, name: str | None) -> Response:
        """The answer of a model, the default where none is named. Raises :class:`Refusal`."""
        clock, known, status = asyncio.get_running_loop(), "", 500
        began = clock.time()
        try:
            with self.registry.lease(name) as served:
                known = served.name
                response = await self._answer(request, served)
                status = response.status_code
                return response
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            self._figures.answered(known, status, clock.time() - began)

    def close(self) -> None:
        self._writers.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: Request, served: Served) -> Response:
        form = wanted(request.headers.get("accept", "*/*"), served.medium.drawn)
        options, picture = self._asked(request, served)
        if not self.images.left:  # before its body costs anything
            raise self._busy(served)
        with self.bytes.share() as hold, self.images.share() as take:
            body = await read_body(request.receive, request.headers, self.limits, hold)
            try:
                async with asyncio.timeout(self.limits.seconds):
                    kind = request.headers.get("content-type", "")
                    parts = await self._in(self.registry.readers, split, body, kind, self.limits)
                    if not take(len(parts)):
                        raise self._busy(served)
                    if form in PICTURES and len(parts) > 1:
                        raise Refusal(406, "one_picture", "a picture is of one file; ask for application/json")
                    found = await self._results(request, served, parts, options)
                    content = await self._in(self._writers, write, found, served, form, picture)
            except TimeoutError:
                message = f"no answer within {self.limits.seconds:g} s; send it again later, or a smaller image"
                raise Refusal(503, "too_slow", message, {"Retry-After": "1"}) from None
        return Response(content, media_type=form)

    async def _results(
        self, request: Request, served: Served, parts: Sequence[bytes], options: Given
    ) -> Sequence[Result]:
        """Of all files. Who goes away, or waits too long, takes what nobody has begun with him."""
        jobs = [served.submit(part, i, options) for i, part in enumerate(parts)]
        together, gone = asyncio.ensure_future(_all(jobs)), asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({together, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not together.done():
                raise Refusal(400, "gone", "the client has gone")
            return together.result()
        except Refusal:
            raise
        except Exception as error:
            log.error("%s: a request failed", served.name, exc_info=error)
            raise Refusal(500, "internal", "the server failed at this request; its log says why") from None
        finally:
            gone.cancel()
            together.cancel()
            for job in jobs:
                job.cancel()

    def _asked(self, request: Request, served: Served) -> tuple[Given, str | None]:
        """The options of the task, and the format of pictures beside JSON."""
        query = request.query_params.multi_items()
        formats = [value for name, value in query if name == "picture"]
        options = served.options.parse([(name, value) for name, value in query if name != "picture"])
        if not formats:
            return options, None
        if formats[-1] not in ("png", "jpeg"):
            raise Refusal(422, "wrong_option", "picture: png or jpeg")
        if not served.medium.drawn:
            raise Refusal(406, "no_picture", f"{served.name}: a text has no picture")
        return options, f"image/{formats[-1]}"

    def _busy(self, served: Served) -> Refusal:
        seconds = max(1, math.ceil(self.images.used * served.patience))
        return Refusal(429, "busy", "the queue is full; send it again later", {"Retry-After": str(seconds)})

    async def _in(self, pool: ThreadPoolExecutor, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


async def _all(jobs: Sequence[Future[Any]]) -> Sequence[Any]:
    return await asyncio.gather(*map(asyncio.wrap_future, jobs))


async def _gone(request: Request) -> None:
    """Ends when the client does; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def wanted(accept: str, drawn: bool) -> str:
    """The best that ``Accept`` names of what is offered, JSON first where it does not matter; nothing: 406."""
    offered = [JSON, *PICTURES] if drawn else [JSON]
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        ranges[kind] = float(weight) if weight.replace(".", "", 1).isdecimal() else 0.0
    weights = [ranges.get(kind, ranges.get(f"{kind.partition('/')[0]}/*", ranges.get("*/*", 0.0))) for kind in offered]
    if max(weights) <= 0:
        raise Refusal(406, "not_acceptable", f"this model answers with {', '.join(offered)}")
    return offered[weights.index(max(weights))]


def write(found: Sequence[Result], served: Served, form: str, picture: str | None) -> bytes:
    """Results as the bytes of an answer."""
    if form in PICTURES:
        return draw(found[0], form)
    rows = [one.to_dict() for one in found]
    if picture is not None:
        for row, one in zip(rows, found, strict=True):
            row["picture"] = f"data:{picture};base64,{base64.b64encode(draw(one, picture)).decode()}"
    answer = {"model": served.name, "version": served.version, "results": rows}
    return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


def draw(found: Result, kind: str) -> bytes:
    """The image with the result on it, as an encoded picture."""
    buffer = io.BytesIO()
    found.draw().save(buffer, format=PICTURES[kind], **({"quality": QUALITY} if kind == "image/jpeg" else {}))
    return buffer.getvalue()
