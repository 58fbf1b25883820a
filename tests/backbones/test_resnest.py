"""ResNeSt: split attention by its equations, the layout of its channels, and the means in place of strides."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones import resnest
from baimu.backbones.resnest import SplitAttention, SplitBottleneck
from baimu.backbones.resnet import ResNet
from baimu.layers.fold import fold_norms
from baimu.layers.norm import batch_norm, frozen_batch_norm
from tests.backbones.test_resnet import near, trained
from tests.layers.test_norm import noise

FORMS = [(1, 1), (2, 1), (4, 2), (1, 4), (2, 2)]  # (splits, groups)


def attention(radix: int, groups: int, channels: int = 24) -> SplitAttention:
    torch.manual_seed(0)
    return trained(SplitAttention(channels, 1, batch_norm, radix=radix, groups=groups))


def slowly(net: SplitAttention, x: Tensor, radix: int, groups: int) -> Tensor:
    """Eq. 1–3 for one group after the other: convolution output (radix, group, channel), attention within a group."""
    splits = net.bn0(net.conv(x)).relu()
    channels = splits.shape[1] // radix
    inside = channels // groups
    means = sum(splits[:, r * channels : (r + 1) * channels] for r in range(radix)).mean((2, 3), keepdim=True)
    scores = net.fc2(net.bn1(net.fc1(means)).relu())
    out = []
    for g in range(groups):
        rows = scores[:, g * radix * inside : (g + 1) * radix * inside]
        each = [rows[:, r * inside : (r + 1) * inside] for r in range(radix)]
        weights = torch.stack(each).softmax(0) if radix > 1 else torch.stack(each).sigmoid()
        places = [r * channels + g * inside for r in range(radix)]
        out.append(sum(w * splits[:, p : p + inside] for w, p in zip(weights, places, strict=True)))
    return torch.cat(out, 1)


@torch.no_grad()
@pytest.mark.parametrize(("radix", "groups"), FORMS)
def test_split_attention_is_its_equations(radix: int, groups: int) -> None:
    net, x = attention(radix, groups), noise(2, 24, 5, 7)
    near(net(x), slowly(net, x, radix, groups))
    assert net.conv.groups == radix * groups
    assert net.fc1.out_channels == max(24 * radix // 4, 32)


@torch.no_grad()
@pytest.mark.parametrize(("radix", "groups"), FORMS)
def test_without_its_last_layer_every_split_counts_the_same(radix: int, groups: int) -> None:
    net, x = attention(radix, groups), noise(2, 24, 5, 7)
    nn.init.zeros_(net.fc2.weight)
    nn.init.zeros_(net.fc2.bias)
    splits = net.bn0(net.conv(x)).relu().chunk(radix, 1)
    near(net(x), sum(splits) / max(radix, 2))


@torch.no_grad()
def test_shares_of_a_channel_add_up_to_one() -> None:
    shares = attention(4, 2).shares(noise(3, 4 * 24, 1, 1))
    torch.testing.assert_close(shares.sum(1), torch.ones(3, 24, 1, 1))


@torch.no_grad()
@pytest.mark.parametrize("pool_first", [False, True])
def test_a_mean_of_nine_cells_halves_the_map_before_or_after_the_attention(pool_first: bool) -> None:
    net = ResNet(SplitBottleneck, (1, 1, 1, 1), base_width=16, pool_first=pool_first, avg_down=True)
    block, x = trained(net).layer2[0], noise(1, 256, 9, 8)
    inside = block.bn1(block.conv1(x)).relu()
    mean = nn.AvgPool2d(3, 2, 1)
    inside = block.conv2(mean(inside)) if pool_first else mean(block.conv2(inside))
    pooled = F.avg_pool2d(F.pad(x, (0, 0, 0, 1)), 2)
    pooled[:, :, -1] *= 2  # the row beyond the border does not count
    shortcut = block.downsample[2](block.downsample[1](pooled))
    near(block(x), (block.bn3(block.conv3(inside)) + shortcut).relu())
    assert block.conv2.conv.stride == (1, 1)


@torch.no_grad()
def test_dilation_replaces_strides_of_means_and_keeps_the_names() -> None:
    """The first mean goes on as one of stride 1, as in the authors' network; a shortcut has none then."""
    torch.manual_seed(0)
    strided = trained(resnest.resnest14(out=(3, 4, 5)))
    dilated = resnest.resnest14(out=(3, 4, 5), output_stride=8)
    dilated.load_state_dict(strided.state_dict())
    for net, strides in ((strided, (2, 2, 2)), (dilated, (2, 1, 1))):
        assert tuple(layer[0].pool.stride for layer in (net.layer2, net.layer3, net.layer4)) == strides
        assert isinstance(net.layer1[0].pool, nn.Identity)
    assert isinstance(dilated.layer3[0].downsample[0], nn.Identity)
    images = noise(1, 3, 64, 64)
    few, many = strided(images), dilated.eval()(images)
    near(many[0], few[0])
    assert [tuple(x.shape[2:]) for x in many] == [(8, 8)] * 3


@pytest.mark.parametrize(("name", "width", "dropout"), [("resnest50", 64, 0.0), ("resnest269", 128, 0.2)])
def test_the_larger_ones_have_a_wider_stem_and_dropout(name: str, width: int, dropout: float) -> None:
    net = getattr(resnest, name)(out=(1,))
    assert (net.channels, net.dropout) == ((width,), dropout)


@torch.no_grad()
@pytest.mark.parametrize("norm", [batch_norm, frozen_batch_norm])
def test_folded_it_computes_the_same_with_every_norm_gone(norm) -> None:
    torch.manual_seed(0)
    net = trained(ResNet(SplitBottleneck, (1, 1, 1, 1), base_width=16, stem=(8, 8, 16), avg_down=True, norm=norm))
    folded, images = fold_norms(net), noise(2, 3, 64, 64)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Conv2d) for m in folded.modules())
    for found, expected in zip(folded(images), net(images), strict=True):
        near(found, expected)
