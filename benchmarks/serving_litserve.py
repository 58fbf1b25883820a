"""LitServe around torchvision's eager network, for ``benchmarks/serving.py``: batches of what comes within 10 ms."""

from __future__ import annotations

import argparse
import base64
from typing import Any

import litserve  # pyright: ignore[reportMissingImports]
import torch

from serving_peers import BATCH, Eager, arguments


class Api(litserve.LitAPI):
    """Its worker is a process of its own, to which this object travels."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(max_batch_size=BATCH, batch_timeout=0.01, api_path="/predict")
        self.options = options

    def setup(self, device: Any) -> None:
        torch.set_num_threads(self.options.threads)
        self.eager = Eager(self.options.state, self.options.precision)

    def decode_request(self, request: dict[str, str]) -> Any:
        return self.eager.read(base64.b64decode(request["image"]))

    def batch(self, inputs: list[Any]) -> Any:
        return torch.stack(inputs)

    def predict(self, x: Any) -> Any:
        return self.eager.run(x)

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return self.eager.told(output)


if __name__ == "__main__":
    options = arguments(__doc__, [])
    server = litserve.LitServer(Api(options), accelerator="cpu", workers_per_device=1, timeout=120)
    server.run(host="127.0.0.1", port=options.port, num_api_servers=1, generate_client_file=False, log_level="warning")
