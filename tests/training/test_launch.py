"""``devices=2`` starts two processes that train one model together, and a failure in one ends both with its reason."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn

import baimu
from baimu.errors import TrainingError
from baimu.training.launch import launch
from tests.training.failing import one_of_two
from tests.training.small import QUICK, small_data
from tests.training.tiny import weights_of

pytestmark = pytest.mark.skipif(torch.cuda.device_count() == 1, reason="two processes need two GPUs, or none")


def test_two_devices_train_one_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {**QUICK, "epochs": 1}
    network = baimu.create_model("small_fcos", num_classes=3)
    network.backbone.deep[1] = nn.Identity()  # batch norm would see half a batch in each process
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    two = baimu.train(network, small_data(), out=tmp_path / "two", devices=2, **options)
    assert len([name for name in weights_of(two.folder) if name.startswith("random.")]) == 2
    network.load_state_dict(start)
    one = baimu.train(network, small_data(), out=tmp_path / "one", **options)
    left, right = weights_of(one.folder), weights_of(two.folder)
    for name in ("model.head.classify.bias", "model.backbone.stem.0.weight", "average.head.regress.weight"):
        assert not torch.equal(left[name], start[name.partition(".")[2]])
        torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("own", r"^process 1 of 2: cls is nan at step 1; images: a\.jpg$"),
        ("killed", r"^process 1 of 2: was killed \(SIGKILL\), most often because memory .*continue with resume=True$"),
        ("other", r"^process 1 of 2: Traceback[\s\S]*one_of_two[\s\S]*ZeroDivisionError: division by zero"),
    ],
)
def test_a_failure_in_one_process_ends_all_and_says_why(error: str, message: str) -> None:
    began = time.monotonic()
    with pytest.raises(TrainingError, match=message):
        launch(2, one_of_two, {"error": error})
    assert time.monotonic() - began < 300  # did not wait for the other process
