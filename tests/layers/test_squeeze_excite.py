"""Squeeze and excitation against the paper's equations, with any activation and gate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baimu.layers.squeeze_excite import SqueezeExcite
from tests.layers.test_norm import noise


@pytest.mark.parametrize(("act", "gate"), [(nn.ReLU, nn.Sigmoid), (nn.SiLU, nn.Sigmoid), (nn.ReLU, nn.Hardsigmoid)])
def test_each_channel_is_weighed_by_what_the_means_of_all_say(act: type[nn.Module], gate: type[nn.Module]) -> None:
    torch.manual_seed(0)
    layer, x = SqueezeExcite(6, 3, act=act, gate=gate), noise(2, 6, 4, 5)
    reduce, expand = layer.reduce, layer.expand
    assert reduce.bias is not None
    assert expand.bias is not None
    for image, found in zip(x, layer(x), strict=True):
        means = torch.stack([channel.sum() / 20 for channel in image])
        hidden = act()(reduce.weight[:, :, 0, 0] @ means + reduce.bias)
        weights = gate()(expand.weight[:, :, 0, 0] @ hidden + expand.bias)
        torch.testing.assert_close(found, torch.stack([w * c for w, c in zip(weights, image, strict=True)]))
