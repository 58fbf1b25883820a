"""``devices=2`` starts two processes that train one model together, and a failure in one ends both with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import baimu
from baimu.detection.fcos import FCOS
from baimu.errors import TrainingError
from baimu.targets import Targets
from tests.training.small import QUICK, small_data
from tests.training.tiny import weights_of


class Failing(FCOS):
    """Its losses are not numbers."""

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        return {name: loss * float("nan") for name, loss in super().losses(images, targets).items()}


@pytest.mark.skipif(torch.cuda.is_available() and torch.cuda.device_count() < 2, reason="two processes need two GPUs")
def test_two_devices_train_together_and_a_failure_ends_both(tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {**QUICK, "epochs": 1, "flip": 0.0}
    network = baimu.create_model("small_fcos", num_classes=3)
    network.backbone.deep[1] = nn.Identity()  # batch norm would see half a batch in each process
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    two = baimu.train(network, small_data(), out=tmp_path / "two", devices=2, **options)
    assert len([name for name in weights_of(two.folder) if name.startswith("random.")]) == 2
    network.load_state_dict(start)
    one = baimu.train(network, small_data(), out=tmp_path / "one", **options)
    left, right = weights_of(one.folder), weights_of(two.folder)
    for name in ("model.head.classify.bias", "model.backbone.stem.0.weight", "average.head.regress.weight"):
        assert not torch.equal(left[name], start.get(name.removeprefix("model."), left[name] + 1))
        torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-6)

    network.__class__ = Failing
    with pytest.raises(TrainingError, match=r"process [01] of 2: .*cls is nan at step 1; images: "):
        baimu.train(network, small_data(), out=tmp_path / "failing", devices=2, **options)
