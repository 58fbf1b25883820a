"""``baimu serve``."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baimu.errors import BaimuError

if TYPE_CHECKING:
    from baimu.deploy.serving.server import Server

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL",
        help="Checkpoints, run folders, exported files or name.tag of published weights, each also as NAME=MODEL; the "
        "first is the default.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="An option of the models' task for all requests, such as score_threshold=0.5; repeat at will.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="BAIMU_ADMIN_TOKEN",
        help="Who states it may have a model loaded anew; without one nobody may. Better in the environment.",
    ),
]


def serve(
    models: Models,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is open to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    max_batch: Annotated[int, typer.Option(min=1, help="Images a forward pass, at most.")] = 8,
    window: Annotated[
        float, typer.Option(min=0, help="Milliseconds to wait for more of them; 0 takes what waits.")
    ] = 0.0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that compute; torch's own choice.")] = None,
    readers: Annotated[int, typer.Option(min=1, help="Threads that decode and resize.")] = 2,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    optimize: Annotated[
        bool,
        typer.Option("--optimize", help="First find the fastest way to run each model here; takes a minute or two."),
    ] = False,
    settings: Settings = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="An option that costs more, opened to requests: scales.")
    ] = None,
    max_megabytes: Annotated[float, typer.Option(help="Of a request's body.")] = 16.0,
    max_megapixels: Annotated[float, typer.Option(help="Of an image.")] = 40.0,
    queue: Annotated[int, typer.Option(min=1, help="Images that wait or are worked on; more are refused.")] = 128,
    timeout: Annotated[float, typer.Option(help="Seconds until a request is given up.")] = 30.0,
    admin_token: Token = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name of this server, such as a proxy asks for; *: any."),
    ] = None,
) -> None:
    """Answer requests for predictions over HTTP, until Ctrl-C; SIGHUP loads the models anew.

    The page at / takes an image and shows the result; /docs describes the interface.

    Example: baimu serve runs/demo

    Example: baimu serve cells=runs/cells fcos_r50_fpn.coco --port 9000 --set score_threshold=0.5

    Example: curl --data-binary @photo.jpg http://127.0.0.1:8000/predict
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is loaded: threads that wait let others work
    from baimu.deploy.serving.limits import Limits
    from baimu.deploy.serving.server import serve as run_server

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    limits = Limits(
        body_bytes=int(max_megabytes * 2**20), pixels=int(max_megapixels * 1e6), queue=queue, seconds=timeout
    )
    run_server(
        models,
        host=host,
        port=port,
        max_batch=max_batch,
        window=window / 1000,
        threads=threads,
        readers=readers,
        device=device,
        optimize=optimize,
        precision=precision,
        limits=limits,
        token=admin_token,
        hosts=allow_host,
        allow=allow or (),
        told=_tell,
        **_pairs(settings or ()),
    )


def _pairs(texts: Sequence[str]) -> dict[str, Any]:
    for text in texts:
        if "=" not in text:
            raise BaimuError(f"--set {text}: write KEY=VALUE, as in score_threshold=0.5")
    return dict(text.split("=", 1) for text in texts)


def _tell(server: Server) -> None:
    for model in server.registry:
        typer.echo(f"{model.name}: {model.task.replace('_', ' ')}, {len(model.classes)} classes")
    typer.echo(f"serving on {server.url} (Ctrl-C ends it)")
