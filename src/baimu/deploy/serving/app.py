"""The routes of a server."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from baimu import __version__
from baimu.deploy.serving.answering import Answering
from baimu.deploy.serving.figures import TYPE, Figures
from baimu.deploy.serving.guard import Guard
from baimu.deploy.serving.limits import Refusal
from baimu.deploy.serving.page import page, policy
from baimu.deploy.serving.reference import reference
from baimu.deploy.serving.registry import Registry

log = logging.getLogger("baimu.serve")

DESCRIPTION = """Send an image as the body, or several as the files of a multipart form; a model of texts takes text.
The answer is JSON, or with `Accept: image/png` or `image/jpeg` the picture with the result drawn on it. An error is
`{"error": {"code": …, "message": …}}`."""
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
        "text/plain": {"schema": {"type": "string"}},
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "no file, a broken form, or another host's name"},
    404: {"description": "no such model"},
    406: {"description": "no such form of answer"},
    408: {"description": "the body came too slowly"},
    413: {"description": "too many bytes, pixels or files"},
    415: {"description": "not an image, or not text, by its content"},
    422: {"description": "an unknown or wrong option, or a damaged image"},
    429: {"description": "the queue is full; Retry-After says when to come again"},
    503: {"description": "no answer in time"},
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the result of each file, as `baimu.predict` has it, or its picture",
        "content": {"application/json": {}, "image/png": {}, "image/jpeg": {}},
    },
    **ERRORS,
}


def make_app(
    registry: Registry, answering: Answering, figures: Figures, *, token: str | None, hosts: Iterable[str]
) -> FastAPI:
    """The application. ``token`` opens reloading to who knows it; None: to nobody. ``hosts`` as of :class:`Guard`."""
    app = FastAPI(title="baimu", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, hosts=hosts)
    _add_errors(app)
    _add_predictions(app, registry, answering)
    _add_state(app, registry, answering, figures)
    _add_reload(app, registry, token)
    _add_pages(app, registry)
    return app


def _add_errors(app: FastAPI) -> None:
    """Every error as JSON; what happened inside is told to the log alone."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return JSONResponse(refusal.to_dict(), refusal.status, refusal.headers)

    @app.exception_handler(HTTPException)
    async def not_here(request: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed"}
        said = Refusal(error.status_code, codes.get(error.status_code, "refused"), str(error.detail))
        return JSONResponse(said.to_dict(), said.status, error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse(Refusal(500, "internal", "the server failed; its log says why").to_dict(), 500)


def _add_predictions(app: FastAPI, registry: Registry, answering: Answering) -> None:
    extra = {"requestBody": BODY}

    @app.post("/predict", summary="Ask the default model", responses=ANSWERS, openapi_extra=extra, tags=["prediction"])
    async def predict(request: Request) -> Response:
        return await answering.predict(request, None)

    @app.post(
        "/models/{name}/predict", summary="Ask a model", responses=ANSWERS, openapi_extra=extra, tags=["prediction"]
    )
    async def predict_with(request: Request, name: str) -> Response:
        return await answering.predict(request, name)

    @app.get("/models", summary="The models, their classes and options", tags=["prediction"])
    async def models() -> Response:
        return JSONResponse({"default": registry.default, "models": [model.describe() for model in registry]})


def _add_state(app: FastAPI, registry: Registry, answering: Answering, figures: Figures) -> None:
    @app.get("/health", summary="Whether the server works", tags=["state"])
    async def health() -> Response:
        dead = [model.name for model in registry if not model.batcher.alive]
        return JSONResponse({"status": "failed" if dead else "ok"}, 503 if dead else 200)

    @app.get("/ready", summary="Whether it takes a request now", tags=["state"])
    async def ready() -> Response:
        free = answering.images.left > 0 and all(model.batcher.alive for model in registry)
        return JSONResponse({"status": "ready" if free else "busy"}, 200 if free else 503)

    @app.get("/metrics", summary="Figures for Prometheus", tags=["state"])
    async def metrics() -> Response:
        return Response(figures.text(), media_type=TYPE)


def _add_reload(app: FastAPI, registry: Registry, token: str | None) -> None:
    @app.post("/models/{name}/reload", summary="Load a model anew from its own place", tags=["state"])
    async def reload(request: Request, name: str) -> Response:
        """Needs the token that the server was started with, as `Authorization: Bearer …`; without one nobody may."""
        if token is None:
            raise Refusal(403, "closed", "this server was started without a token for this")
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise Refusal(401, "wrong_token", "give the server's token", {"WWW-Authenticate": "Bearer"})
        with registry.lease(name):
            pass
        try:
            model = await asyncio.to_thread(registry.reload, name)
        except Exception:
            log.exception("%s: cannot be loaded anew", name)
            message = "the model cannot be loaded anew; the old one stays, and the log says why"
            raise Refusal(500, "not_loaded", message) from None
        return JSONResponse({"model": model.name, "version": model.version})


def _add_pages(app: FastAPI, registry: Registry) -> None:
    """Pages for people. They ask nothing of any other host."""

    def described() -> dict[str, Any]:
        schema = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        with registry.lease(None) as default:
            _add_options(schema["paths"]["/predict"]["post"], default.options.describe())
        every = {one["name"]: one for model in registry for one in model.options.describe()}
        _add_options(schema["paths"]["/models/{name}/predict"]["post"], every.values())
        return schema

    app.openapi = described

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(described())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        text = reference(described())
        return HTMLResponse(text, headers={"Content-Security-Policy": policy(text)})

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        text = page()
        return HTMLResponse(text, headers={"Content-Security-Policy": policy(text)})


def _add_options(operation: dict[str, Any], options: Iterable[dict[str, Any]]) -> None:
    """The options of the models' tasks as parameters of the query."""
    parameters = operation.setdefault("parameters", [])
    picture = {"type": "string", "enum": ["png", "jpeg"]}
    rows = [(one["name"], {**one["schema"], "default": one["default"]}) for one in options]
    for name, schema in [*rows, ("picture", {**picture, "title": "beside JSON, the drawn picture as a data: address"})]:
        parameters.append({"name": name, "in": "query", "required": False, "schema": schema})
