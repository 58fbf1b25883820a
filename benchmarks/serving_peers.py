"""The servers that ``benchmarks/serving.py`` compares with, each as one would write it:

    python benchmarks/serving_peers.py predict|torchvision --port 8152 --checkpoint … --state …

``predict`` is FastAPI around ``model.predict``, ``torchvision`` FastAPI around torchvision's eager network and its own
preset; both answer one request after the other.
"""

from __future__ import annotations

import argparse
import io
import threading
from collections.abc import Callable
from typing import Any

import torch
from fastapi import FastAPI, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool

BATCH = 8


class Eager:
    """torchvision's network and what belongs around it."""

    def __init__(self, state: str, precision: str) -> None:
        import torchvision
        from torchvision.transforms._presets import ImageClassification

        self.net = torchvision.models.resnet50(weights=None)
        self.net.load_state_dict(torch.load(state))
        self.net.eval()
        self.prepare = ImageClassification(crop_size=224, resize_size=256)
        self.half = precision == "bf16"

    def read(self, body: bytes) -> Any:
        return self.prepare(Image.open(io.BytesIO(body)).convert("RGB"))

    @torch.inference_mode()
    def run(self, images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return self.net(images).float().softmax(1)

    @staticmethod
    def told(probabilities: torch.Tensor) -> dict[str, Any]:
        return {"name": str(int(probabilities.argmax())), "score": float(probabilities.max())}


def fastapi_around(answer: Callable[[bytes], dict[str, Any]], port: int) -> None:
    """``answer`` works in FastAPI's threads, one request after the other."""
    import uvicorn

    app, turn = FastAPI(), threading.Lock()

    def in_turn(body: bytes) -> dict[str, Any]:
        with turn:
            return answer(body)

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        return await run_in_threadpool(in_turn, await request.body())

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def around_predict(options: argparse.Namespace) -> None:
    import baimu

    model = baimu.load(options.checkpoint)

    def answer(body: bytes) -> dict[str, Any]:
        found = model.predict(body, precision=options.precision)[0]
        return {"name": found.name, "score": found.score}

    fastapi_around(answer, options.port)


def around_torchvision(options: argparse.Namespace) -> None:
    eager = Eager(options.state, options.precision)
    fastapi_around(lambda body: eager.told(eager.run(eager.read(body)[None])[0]), options.port)


KINDS = {"predict": around_predict, "torchvision": around_torchvision}


def arguments(about: str | None, kinds: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if kinds:
        parser.add_argument("kind", choices=kinds)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments(__doc__, [*KINDS])
    torch.set_num_threads(options.threads)
    KINDS[options.kind](options)
