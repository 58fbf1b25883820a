"""A small segmenter that is not trained, pictures of which three have one name, and a cluster of two nodes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import PIL.Image
import pytest
import torch

from baimu.deploy.scale import keeping_sigterm
from baimu.weights.archive import write_archive
from baimu.weights.checkpoint import describe
from baimu.zoo import create_model


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    torch.manual_seed(0)
    model = create_model("unet_s5_d16", num_classes=3, widths=(4, 4, 8, 8, 8))
    model.classes = ("ground", "disc", "cross")
    folder = tmp_path_factory.mktemp("runs") / "segmenter"
    folder.mkdir()
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    write_archive(folder / "best.safetensors", tensors, describe(model))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty pictures in three folders: ``0/1.png``, ``0/1.bmp`` and ``1/1.png`` are among them."""
    random = np.random.default_rng(0)
    for i in range(39):
        path = tmp_path / "photos" / str(i % 3) / f"{i // 3}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(random.integers(0, 255, (32, 40, 3)).astype(np.uint8)).save(path)
    PIL.Image.new("RGB", (40, 32), "red").save(tmp_path / "photos" / "0" / "1.bmp")
    return tmp_path / "photos"


def loopback(address: object = None) -> str:
    return "127.0.0.1"


def patiently(start: Callable[[], Any]) -> Any:
    """A node of Ray; where others work too, one at times does not answer within Ray's thirty seconds."""
    for attempt in range(3):
        try:
            return start()
        except Exception as error:
            if attempt == 2 or "timed out during startup" not in str(error):
                raise


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Two nodes with a CPU each, on this machine's own address; this process is connected to them."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray", reason="needs ray: pip install 'baimu[ray]'")
    from ray._private import services
    from ray.cluster_utils import Cluster

    # Ray puts the machine's outer address in the place of 127.0.0.1, which nothing here listens at.
    before, services.node_ip_address_from_perspective = services.node_ip_address_from_perspective, loopback
    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1"}
    made = Cluster()
    for others in ({"include_dashboard": False}, {}):
        patiently(lambda others=others: made.add_node(**node, **others))
    with keeping_sigterm():
        ray.init(made.address, log_to_driver=False, logging_level=logging.ERROR)
        yield made
        ray.shutdown()
    made.shutdown()
    services.node_ip_address_from_perspective = before


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without shapes and types checked at run time: where TorchScript traces, sizes are tensors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
