"""Res2Net: the hierarchy inside a block, and the exception of the block that begins a stage."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones import res2net
from baimu.backbones.res2net import Bottle2neck
from baimu.backbones.resnet import ResNet
from baimu.layers.fold import fold_norms
from baimu.layers.norm import batch_norm
from tests.backbones.test_resnet import near, trained
from tests.layers.test_norm import noise


def block(in_channels: int, stride: int = 1, **options: int) -> Bottle2neck:
    torch.manual_seed(0)
    made = Bottle2neck(in_channels, 16, stride, batch_norm, **{"base_width": 32, "scale": 4, **options})
    return trained(made)


def slowly(net: Bottle2neck, x: Tensor, width: int, scale: int, stride: int, begins: bool) -> Tensor:
    """The block by Eq. 1 and the authors' exception, one part after the other."""
    inside = net.bn1(net.conv1(x)).relu()
    parts = [inside[:, i * width : (i + 1) * width] for i in range(scale)]
    y: list[Tensor] = []
    for i in range(scale - 1):
        seen = parts[i]
        if i > 0 and not begins:
            seen = seen + y[i - 1]
        y.append(net.bns[i](net.convs[i](seen)).relu())
    last = parts[-1]
    if begins:
        padded = F.pad(last, (1, 1, 1, 1))
        cells = F.unfold(padded, 3, stride=stride).unflatten(1, (width, 9)).sum(2) / 9  # padded zeros count
        last = cells.reshape(*last.shape[:2], *y[0].shape[2:])
    out = net.bn3(net.conv3(torch.cat([*y, last], 1)))
    return (out + (x if net.downsample is None else net.downsample(x))).relu()


@torch.no_grad()
@pytest.mark.parametrize(("scale", "groups"), [(2, 1), (4, 1), (8, 1), (4, 2)])
def test_a_block_is_the_hierarchy_and_the_first_of_a_stage_is_not(scale: int, groups: int) -> None:
    width = 8 * groups
    later = block(64, scale=scale, groups=groups)
    x = noise(2, 64, 7, 9).relu()
    near(later(x), slowly(later, x, width, scale, 1, begins=False))
    for channels, stride in ((32, 2), (32, 1), (64, 2)):
        first = block(channels, stride, scale=scale, groups=groups)
        x = noise(2, channels, 7, 9).relu()
        near(first(x), slowly(first, x, width, scale, stride, begins=True))


@torch.no_grad()
def test_parts_hear_of_those_before_them_only_and_the_last_passes_through() -> None:
    """In the order of the released weights: a change of part i reaches i and later, the last alone is not convolved."""
    for net, hears in ((block(64), True), (block(32), False)):
        x = noise(1, net.conv1.in_channels, 5, 5)
        found = []
        for changed in range(4):
            seen: list[Tensor] = []
            net.conv3.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
            net(x)
            with torch.no_grad():
                kept = net.bn1.bias.clone()
                net.bn1.bias[changed * 8 : (changed + 1) * 8] += 1.0
            net(x)
            net.bn1.bias.copy_(kept)
            found.append([not torch.equal(a, b) for a, b in zip(seen[0].chunk(4, 1), seen[1].chunk(4, 1), strict=True)])
        reach = [[i == j or (hears and i <= j < 3) for j in range(4)] for i in range(4)]
        assert found == reach


def test_a_scale_of_one_is_refused_and_of_two_has_one_convolution() -> None:
    with pytest.raises(ValueError, match="at least 2 parts, got 1"):
        block(64, scale=1)
    assert len(block(64, scale=2).convs) == 1
    assert len(res2net.res2net50_26w_8s(out=(2,)).layer1[1].convs) == 7


def test_widths_round_down() -> None:
    """26 channels for each 64 of the stage; of 4 channels in 8 paths 32."""
    plain, grouped = res2net.res2net50_26w_4s(out=(3,)), res2net.res2next50(out=(3,))
    for net, widths, groups in ((plain, (26, 52), 1), (grouped, (32, 64), 8)):
        convs = [net.get_submodule(f"layer{i}")[0].convs[0] for i in (1, 2)]
        assert tuple(conv.out_channels for conv in convs) == widths
        assert {conv.groups for conv in convs} == {groups}


@torch.no_grad()
def test_dilated_it_computes_the_strided_ones_cells() -> None:
    torch.manual_seed(0)
    few = trained(ResNet(Bottle2neck, (1, 1, 2, 2), base_width=8, out=(5,)))
    many = ResNet(Bottle2neck, (1, 1, 2, 2), base_width=8, out=(5,), output_stride=16)
    many.load_state_dict(few.state_dict())
    images = noise(1, 3, 96, 64)
    near(many.eval()(images)[0][:, :, ::2, ::2], few(images)[0])


@torch.no_grad()
def test_folded_it_computes_the_same_with_every_norm_gone() -> None:
    torch.manual_seed(0)
    net = trained(ResNet(Bottle2neck, (1, 2, 1, 1), base_width=8, stem=(8, 8, 16), avg_down=True))
    folded, images = fold_norms(net), noise(2, 3, 64, 64)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Conv2d) for m in folded.modules())
    for found, expected in zip(folded(images), net(images), strict=True):
        near(found, expected)
