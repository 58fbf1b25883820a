"""The catalogue's classifiers: what their options do, whatever the backbone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baimu.errors import UnknownNameError
from baimu.zoo import create_model

FAMILIES = (
    "resnet18", "seresnet50", "res2net50_26w_4s", "resnest50", "googlenet", "inception_v3", "inception_v4",
    "inception_resnet_v2", "mobilenet_v1", "mobilenet_v2", "squeezenet1_1", "shufflenet_v1_x1_0",
    "shufflenet_v2_x1_0", "efficientnet_b0", "hrnet_w18", "vgg11", "darknet53", "cspdarknet53", "dla34",
)  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_an_activation_by_name_is_everywhere_and_in_the_checkpoint(name):
    """A factory cannot be written down, so that a model with one could not be made again from its checkpoint."""
    with torch.device("meta"):
        model = create_model(name, num_classes=2, act="mish")
    assert model.spec == (name, {"num_classes": 2, "act": "mish"})
    layers = [layer for name, layer in model.backbone.named_modules() if ".plugin." not in name]  # gates have their own
    assert any(isinstance(layer, nn.Mish) for layer in layers)
    assert not any(type(layer) in (nn.ReLU, nn.ReLU6, nn.LeakyReLU) for layer in layers)


def test_an_unknown_activation_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="mish"):
        create_model("resnet18", act="mihs")
