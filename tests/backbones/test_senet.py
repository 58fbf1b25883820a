"""SENet: each block's branch is weighed before the addition, and the published weights' layout is Caffe's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from baimu.backbones import senet
from baimu.backbones.resnet import Bottleneck, ResNet
from baimu.backbones.senet import CaffeSENet, SENetBottleneck, squeeze_excite
from baimu.layers.fold import fold_norms
from baimu.layers.squeeze_excite import SqueezeExcite
from tests.backbones.test_resnet import near, trained
from tests.layers.test_norm import noise

SHALLOW = (1, 1, 1, 1)


def gates(net: nn.Module) -> list[SqueezeExcite]:
    return [m for m in net.modules() if isinstance(m, SqueezeExcite)]


@torch.no_grad()
def test_a_plug_in_is_the_papers_formula() -> None:
    plugin, x = squeeze_excite(64), noise(2, 64, 5, 7)
    assert plugin.reduce.weight.shape == (4, 64, 1, 1)
    z = x.flatten(2).mean(2)
    hidden = (z @ plugin.reduce.weight[:, :, 0, 0].T + plugin.reduce.bias).relu()
    s = (hidden @ plugin.expand.weight[:, :, 0, 0].T + plugin.expand.bias).sigmoid()
    torch.testing.assert_close(plugin(x), x * s[:, :, None, None])


@torch.no_grad()
def test_without_its_second_layer_every_branch_is_halved_and_a_great_bias_gives_the_host_back() -> None:
    torch.manual_seed(0)
    net = trained(ResNet(Bottleneck, SHALLOW, block_plugin=squeeze_excite))
    host = ResNet(Bottleneck, SHALLOW).eval()
    host.load_state_dict({k: v for k, v in net.state_dict().items() if ".plugin." not in k})
    images = noise(1, 3, 64, 64)
    for gate in gates(net):
        nn.init.zeros_(gate.expand.weight)
        nn.init.constant_(gate.expand.bias, 50)
    for found, expected in zip(net(images), host(images), strict=True):
        near(found, expected)
    for gate in gates(net):
        nn.init.zeros_(gate.expand.bias)
    for block in (m for m in host.modules() if isinstance(m, Bottleneck)):
        block.bn3.weight *= 0.5
        block.bn3.bias *= 0.5
    for found, expected in zip(net(images), host(images), strict=True):
        near(found, expected)


@pytest.mark.parametrize(("name", "blocks"), [("seresnet50", 7), ("seresnext101_32x4d", 7), ("senet154_caffe", 11)])
def test_every_block_has_one(name: str, blocks: int) -> None:
    found = gates(getattr(senet, name)(out=(3,)))
    assert len(found) == blocks
    assert {gate.expand.out_channels // gate.expand.in_channels for gate in found} == {16}


def test_caffes_layout_has_the_stride_in_front_and_rounds_the_pooling_up() -> None:
    with torch.device("meta"):
        strides = {
            name: tuple(conv.stride[0] for conv in (block.conv1, block.conv2))
            for name in ("seresnet50", "seresnet50_caffe", "seresnext50_32x4d_caffe", "senet154_caffe")
            for block in [getattr(senet, name)(out=(3,)).layer2[0]]
        }
    assert strides == {
        "seresnet50": (1, 2),
        "seresnet50_caffe": (2, 1),
        "seresnext50_32x4d_caffe": (1, 2),
        "senet154_caffe": (1, 2),
    }
    x = noise(1, 64, 112, 113)
    found = CaffeSENet(Bottleneck, SHALLOW, out=(2,)).pool(x)
    assert found.shape[2:] == (56, 56)
    assert torch.equal(found[..., :55, :], F.max_pool2d(x, 3, 2)[..., :55, :]), "no padding in front"
    left = F.max_pool2d(x[..., 110:, :], (2, 3), 2)
    assert torch.equal(found[..., 55:, :], left), "what is left at the end"
    small = CaffeSENet(Bottleneck, SHALLOW, small_images=True, out=(2,))
    assert small.pool(x) is x


@torch.no_grad()
def test_senet154_has_its_own_widths_and_shortcuts_whatever_the_stride() -> None:
    with torch.device("meta"):
        net, dilated = senet.senet154(out=(4,)), senet.senet154(out=(4,), output_stride=8)
    assert net.dropout == 0.2
    assert net.channels == (1024,)
    block = net.layer3[0]
    assert [c.out_channels for c in (block.conv1, block.conv2, block.conv3)] == [512, 1024, 1024]
    assert block.conv2.groups == 64
    kernels = [net.get_submodule(f"layer{i}")[0].downsample[0].kernel_size[0] for i in (1, 2, 3)]
    assert kernels == [1, 3, 3]
    shapes = {k: v.shape for k, v in net.state_dict().items()}
    assert {k: v.shape for k, v in dilated.state_dict().items()} == shapes
    torch.manual_seed(0)
    few = trained(ResNet(SENetBottleneck, SHALLOW, stem=(8, 8, 16), groups=16, base_width=4, out=(5,)))
    many = ResNet(SENetBottleneck, SHALLOW, stem=(8, 8, 16), groups=16, base_width=4, out=(5,), output_stride=16)
    many.load_state_dict(few.state_dict())
    images = noise(1, 3, 64, 64)
    near(many.eval()(images)[0][:, :, ::2, ::2], few(images)[0])


@torch.no_grad()
@pytest.mark.parametrize("net", [ResNet, CaffeSENet])
def test_folded_it_computes_the_same(net: type[ResNet]) -> None:
    torch.manual_seed(0)
    model = trained(
        net(SENetBottleneck, SHALLOW, stem=(8, 8, 16), groups=16, base_width=4, block_plugin=squeeze_excite)
    )
    folded, images = fold_norms(model), noise(2, 3, 64, 64)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    for found, expected in zip(folded(images), model(images), strict=True):
        near(found, expected)
