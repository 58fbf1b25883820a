"""ResNet equals torchvision's with the same parameters; what is frozen stays frozen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from baimu.backbones import resnet
from baimu.backbones.resnet import Bottleneck, ResNet, resnet18, resnet50
from baimu.layers.norm import FrozenBatchNorm2d, affine_batch_norm, frozen_batch_norm, group_norm
from tests.layers.test_norm import learned, noise

LEARNED = ("conv1.weight", "layer2.0.downsample.0.weight", "layer4.1.bn2.weight")


def pair(name: str) -> tuple[ResNet, torchvision.models.ResNet]:
    """Ours and torchvision's with the same parameters and norms as after training."""
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(weights=None)
    for i, layer in enumerate(m for m in theirs.modules() if isinstance(m, nn.BatchNorm2d)):
        learned(layer, seed=i)
    ours = getattr(resnet, name)()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    ours.load_state_dict(state)
    return ours, theirs


def features(model: torchvision.models.ResNet, images: Tensor) -> list[Tensor]:
    x = model.maxpool(model.relu(model.bn1(model.conv1(images))))
    maps = []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
        maps.append(x)
    return maps


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_maps_gradients_and_statistics_equal_torchvision(name: str, training: bool) -> None:
    ours, theirs = pair(name)
    ours.train(training)
    theirs.train(training)
    images = noise(2, 3, 64, 96)
    slopes = []
    for model, maps in ((ours, ours(images)), (theirs, features(theirs, images))):
        sum(m.square().mean() for m in maps).backward()
        slopes.append((maps, {n: p.grad for n, p in model.named_parameters()}, dict(model.named_buffers())))
    (found, grads, buffers), (expected, their_grads, their_buffers) = slopes
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, atol=1e-5 * y.abs().max().item(), rtol=1e-4)
    for key in LEARNED:
        scale = their_grads[key].abs().max().item()
        assert scale > 0
        torch.testing.assert_close(grads[key], their_grads[key], atol=1e-4 * scale, rtol=1e-3)
    for key, value in buffers.items():
        torch.testing.assert_close(value, their_buffers[key], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("out", [(2, 3, 4, 5), (3, 5), (2,), (5,)])
def test_out_chooses_the_maps_and_builds_no_stage_in_vain(out: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    whole = resnet18().eval()
    part = resnet18(out=out).eval()
    part.load_state_dict({k: v for k, v in whole.state_dict().items() if k in part.state_dict()})
    assert part.strides == tuple(2**level for level in out)
    assert part.channels == tuple(64 * 2 ** (level - 2) for level in out)
    assert not hasattr(part, f"layer{max(out)}"), "nothing beyond the last map"
    with torch.no_grad():
        maps, all_maps = part(noise(1, 3, 64, 64)), whole(noise(1, 3, 64, 64))
    for level, x, channels, stride in zip(out, maps, part.channels, part.strides, strict=True):
        assert x.shape == (1, channels, 64 // stride, 64 // stride)
        assert torch.equal(x, all_maps[level - 2])


@pytest.mark.parametrize("build", [resnet18, resnet50])
def test_odd_sizes_round_up(build: Callable[..., ResNet]) -> None:
    with torch.no_grad():
        maps = build().eval()(noise(1, 3, 65, 93))
    assert [x.shape[2:] for x in maps] == [(17, 24), (9, 12), (5, 6), (3, 3)]


@pytest.mark.parametrize("frozen", [0, 1, 2, 4, 5])
def test_frozen_stages_learn_nothing_and_keep_their_statistics(frozen: int) -> None:
    model = resnet18(frozen_stages=frozen).train()
    before = {k: v.clone() for k, v in model.named_buffers()}
    sum(x.sum() for x in model(noise(2, 3, 64, 64).requires_grad_())).backward()
    stages = {name: 1 if name in ("conv1", "bn1") else int(name[-1]) + 1 for name, _ in model.named_children()}
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (stages[name.split(".")[0]] <= frozen), name
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            assert torch.equal(buffer, before[name]) == (stages[name.split(".")[0]] <= frozen), name


def test_frozen_statistics_in_every_norm() -> None:
    for norm, learns in ((frozen_batch_norm, False), (affine_batch_norm, True)):
        model = resnet18(norm=norm).train()
        assert all(isinstance(m, FrozenBatchNorm2d) for n, m in model.named_modules() if n.endswith(("bn1", "bn2")))
        assert model.layer1[0].bn1.weight.requires_grad == learns
        assert model.layer1[0].conv1.weight.requires_grad


def test_group_norm_needs_no_batch() -> None:
    model = resnet18(norm=group_norm).train()
    images = noise(2, 3, 64, 64)
    both, alone = model(images), model(images[:1])
    torch.testing.assert_close(both[-1][:1], alone[-1], atol=1e-4, rtol=1e-4)


def test_caffe_style_moves_the_stride_to_the_first_convolution() -> None:
    for in_3x3, strides in ((True, (1, 2)), (False, (2, 1))):
        block = resnet50(stride_in_3x3=in_3x3).layer2[0]
        assert (block.conv1.stride[0], block.conv2.stride[0]) == strides


@torch.no_grad()
@pytest.mark.parametrize(("output_stride", "dilated"), [(16, (False, False, True)), (8, (False, True, True))])
def test_dilation_in_place_of_strides_is_torchvisions(output_stride: int, dilated: tuple[bool, ...]) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=dilated).eval()
    ours = resnet50(output_stride=output_stride).eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")})
    assert ours.strides == (4, 8, min(16, output_stride), output_stride)
    for found, expected in zip(ours(noise(1, 3, 70, 64)), features(theirs, noise(1, 3, 70, 64)), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_dilation_of_a_basic_block_keeps_the_map_and_reaches_as_far() -> None:
    """torchvision has none of it: the receptive field of C5 is that of strides, on a map of four times the cells."""
    reached = []
    for output_stride in (32, 16):
        net = resnet18(out=(5,), output_stride=output_stride, norm=frozen_batch_norm)
        for parameter in net.parameters():
            nn.init.constant_(parameter, 0.01)
        images = torch.zeros(1, 3, 640, 64, requires_grad=True)
        (x,) = net(images + 1)
        assert x.shape == (1, 512, 640 // output_stride, 64 // output_stride)
        (slope,) = torch.autograd.grad(x[0, 0, x.shape[2] // 2, 1], images)
        rows = slope[0].abs().sum((0, 2)).nonzero()
        reached.append(int(rows.max() - rows.min()))
    assert reached[0] >= reached[1] > reached[0] * 0.75


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": ()}, r"out must name levels of \(2, 3, 4, 5\) in rising order, got \(\)"),
        ({"out": (5, 3)}, "rising order"),
        ({"out": (3, 3)}, "rising order"),
        ({"out": (1, 2)}, "rising order"),
        ({"frozen_stages": 6}, "0 .* to 5 .*, got 6"),
        ({"frozen_stages": -1}, "got -1"),
        ({"output_stride": 4}, "output_stride must be 8, 16 or 32, got 4"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resnet18(**options)


TORCHVISION = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
)


@pytest.mark.parametrize("name", TORCHVISION)
def test_parameters_are_those_of_torchvision_without_the_classifier(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = getattr(resnet, name)(), getattr(torchvision.models, name)(weights=None)
    shapes = {k: v.shape for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    assert {k: v.shape for k, v in ours.state_dict().items()} == shapes


def test_resnext101_32x4d_has_the_published_size() -> None:
    """44.178 M with a classifier of 2049 x 1000; torchvision has no such network."""
    with torch.device("meta"):
        model = resnet.resnext101_32x4d()
    assert (sum(p.numel() for p in model.parameters()) + 2049 * 1000) / 1e6 == pytest.approx(44.178, abs=5e-4)


def test_groups_are_paths_of_their_own_whose_sum_is_the_block() -> None:
    """The grouped form (1611.05431 Fig. 3c) equals the sum over narrow bottlenecks (Fig. 3a)."""
    torch.manual_seed(0)
    groups, width = 4, 8
    block = Bottleneck(32, width, 1, lambda _: nn.Identity(), groups=groups, base_width=16)
    inner = width * 16 // 64
    x = noise(2, 32, 9, 9)
    total = x  # the shortcut
    for i in range(groups):
        part = slice(i * inner, (i + 1) * inner)
        path = F.conv2d(x, block.conv1.weight[part]).relu()
        path = F.conv2d(path, block.conv2.weight[part], padding=1).relu()
        total = total + F.conv2d(path, block.conv3.weight[:, part])
    torch.testing.assert_close(block(x), total.relu())


def test_one_group_of_64_is_a_resnet_and_other_groups_refuse_its_weights() -> None:
    plain, same = resnet50(out=(2,)), resnet50(out=(2,), groups=1, base_width=64)
    assert {k: v.shape for k, v in plain.state_dict().items()} == {k: v.shape for k, v in same.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"size mismatch for layer1\.0\.conv2\.weight"):
        resnet.resnext50_32x4d(out=(2,)).load_state_dict(plain.state_dict())


def test_basic_blocks_have_no_groups() -> None:
    with pytest.raises(ValueError, match="only bottlenecks have groups and a base width, got 32 and 4"):
        resnet18(groups=32, base_width=4)
