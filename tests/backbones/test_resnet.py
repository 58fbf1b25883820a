"""ResNet equals torchvision's with the same parameters; what is frozen stays frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from baimu.backbones import resnet
from baimu.backbones.resnet import BasicBlock, Block, Bottleneck, ResNet, resnet18, resnet50
from baimu.layers.drop_path import DropPath
from baimu.layers.fold import fold_norms
from baimu.layers.norm import FrozenBatchNorm2d, affine_batch_norm, batch_norm, frozen_batch_norm, group_norm
from baimu.weights.families.resnet_deep import TIMM
from baimu.weights.keys import renamed
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
    stages = {name: int(name[5:]) + 1 if name.startswith("layer") else 1 for name, _ in model.named_children()}
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
        ({"out": ()}, r"out must name levels of \(1, 2, 3, 4, 5\) in rising order, got \(\)"),
        ({"out": (5, 3)}, "rising order"),
        ({"out": (3, 3)}, "rising order"),
        ({"out": (2, 6)}, "rising order"),
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


def trained(net: nn.Module) -> Any:
    """Norms as after training."""
    for i, layer in enumerate(m for m in net.modules() if isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d)):
        learned(layer, seed=i)
    return net.eval()


def near(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Differences are of rounding, measured by the largest value."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def twin(net: ResNet, **options: Any) -> ResNet:
    """A network of ``options`` with the parameters of ``net``, whose names and shapes must be the same."""
    made = resnet50(**options) if net.channels[-1] == 2048 else resnet18(**options)
    made.load_state_dict(net.state_dict())
    return made.eval()


@torch.no_grad()
@pytest.mark.parametrize("build", [resnet18, resnet50])
@pytest.mark.parametrize("stride_in_3x3", [True, False], ids=["pytorch", "caffe"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_a_dilated_network_computes_the_strided_ones_cells(build: Any, stride_in_3x3: bool, output_stride: int) -> None:
    """Dilation adds cells between those of the strided network, and changes none of them; names stay."""
    torch.manual_seed(0)
    strided = trained(build(out=(4, 5), stride_in_3x3=stride_in_3x3))
    dilated = twin(strided, out=(4, 5), stride_in_3x3=stride_in_3x3, output_stride=output_stride)
    images = noise(1, 3, 96, 64)
    for few, many, stride in zip(strided(images), dilated(images), strided.strides, strict=True):
        step = stride // min(stride, output_stride)
        assert many.shape[2] == step * few.shape[2]
        near(many[:, :, ::step, ::step], few)


def dilations(net: ResNet, level: int) -> list[int]:
    return [block.conv2.dilation[0] for block in net.get_submodule(f"layer{level - 1}")]


def test_the_dilation_of_every_block() -> None:
    eight = resnet50(output_stride=8)
    assert [dilations(eight, 4), dilations(eight, 5)] == [[1, 2, 2, 2, 2, 2], [2, 4, 4]], "mmseg's contract_dilation"
    whole = resnet50(output_stride=8, dilate_from=1)
    assert [dilations(whole, 4), dilations(whole, 5)] == [[2] * 6, [4] * 3], "mmdetection's and detectron2's"
    grid = resnet50(output_stride=16, multi_grid=(1, 2, 4))
    assert [dilations(grid, 4), dilations(grid, 5)] == [[1] * 6, [2, 4, 8]], "DeepLab v3, Table 3"
    assert {b.conv2.padding for b in grid.layer4} == {(2, 2), (4, 4), (8, 8)}, "the map keeps its size"


def test_a_last_stride_of_1_that_spreads_nothing() -> None:
    """Re-identification's: the weights of ImageNet, on a map of twice the size."""
    usual, kept = resnet18(out=(5,)).eval(), resnet18(out=(5,), output_stride=16, dilate_from=0).eval()
    kept.load_state_dict(usual.state_dict())
    assert {b.conv2.dilation for b in kept.layer4} == {b.conv1.dilation for b in kept.layer4} == {(1, 1)}
    images = torch.randn(1, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (large,), (small,) = kept(images), usual(images)
    assert (large.shape[2:], small.shape[2:]) == ((4, 2), (2, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dilate_from": 3}, "dilate_from must be 1 or 2, .* got 3"),
        ({"multi_grid": (1, 2)}, r"a factor for each of 3 blocks, got \(1, 2\)"),
        ({"drop_path": 1.0}, "1 excluded"),
    ],
)
def test_impossible_blocks_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resnet50(**options)


def test_an_option_that_no_block_has_is_refused() -> None:
    with pytest.raises(TypeError, match="gruops"):
        resnet18(gruops=2)


@torch.no_grad()
@pytest.mark.parametrize("act", ["silu", "leaky_relu"])
def test_another_activation_stands_everywhere_as_in_timm(act: str) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("resnet18d", act_layer=act, features_only=True, out_indices=(1, 2, 3, 4))
    made = {"silu": nn.SiLU, "leaky_relu": nn.LeakyReLU}[act]
    ours = resnet.resnet18_v1d(act=made)
    assert not any(isinstance(m, nn.ReLU) for m in ours.modules())
    state = {k.removeprefix("backbone."): v for k, v in renamed(trained(theirs).state_dict(), TIMM).items()}
    ours.load_state_dict(state)
    images = noise(1, 3, 64, 64)
    for found, expected in zip(ours.eval()(images), theirs(images), strict=True):
        near(found, expected)


def test_an_activation_that_learns_has_parameters_of_its_own_in_every_place() -> None:
    net = resnet18(act=nn.PReLU)
    learns = [n for n, p in net.named_parameters() if p.numel() == 1]
    assert len(learns) == 1 + 8 * 2
    sum(x.mean() for x in net(noise(2, 3, 64, 64))).backward()
    assert all(net.get_parameter(n).grad is not None for n in learns)


@torch.no_grad()
@pytest.mark.parametrize("stem", [(64,), (32, 32, 64)])
def test_a_block_whose_last_norm_starts_at_zero_is_its_shortcut(stem: tuple[int, ...]) -> None:
    net = resnet50(last_scale=0.0, stem=stem, avg_down=len(stem) > 1)
    x = noise(1, 64, 16, 16).relu()
    for layer in (net.layer1, net.layer2):
        for block in layer.eval():
            shortcut = x if block.downsample is None else block.downsample(x)
            x = block(x)
            assert torch.equal(x, shortcut.relu())


@torch.no_grad()
def test_drop_path_leaves_branches_away_for_whole_images_in_training_only() -> None:
    torch.manual_seed(0)
    net = resnet18(drop_path=0.6)
    rates = [m.rate for m in net.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.6 * i / 7 for i in range(8)])
    block, x = trained(net).layer4[1], noise(64, 512, 2, 2).relu()
    whole = block(x)
    block.drop_path.train()
    block.training = True  # the block's norms stay in evaluation, so that only the dropping differs
    found = block(x)
    alone = (found - x.relu()).abs().amax((1, 2, 3)) == 0
    assert 20 <= int(alone.sum()) <= 56, "about 0.6 of 64"
    kept = ~alone
    branch = F.relu(x) * 0 + block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    torch.testing.assert_close(found[kept], (x + branch / 0.4).relu()[kept], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(whole, (x + branch).relu(), atol=1e-4, rtol=1e-4)
    assert torch.equal(net.eval()(noise(2, 3, 64, 64))[-1], twin(net)(noise(2, 3, 64, 64))[-1])


class Doubling(nn.Module):
    """A plug-in with an initialisation of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.dirac_(self.mix.weight)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.mix(x)


@torch.no_grad()
@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_a_plug_in_stands_before_the_addition_and_keeps_its_initialisation(kind: type[Block]) -> None:
    torch.manual_seed(0)
    net = trained(ResNet(kind, (2, 2, 2, 2), block_plugin=Doubling, plugged=(3, 4), out=(4,)))
    assert [block.plugin is not None for i in (1, 2, 3) for block in net.get_submodule(f"layer{i}")] == [
        *(False, False),
        *(True, True, True, True),
    ]
    for channels, block in zip((128, 256), (net.layer2[1], net.layer3[1]), strict=True):
        channels *= kind.expansion
        assert torch.equal(block.plugin.mix.weight[:, :, 0, 0], torch.eye(channels))
        x = noise(2, channels, 4, 4).relu()
        doubled = block(x)
        block.plugin = None
        branch = block.bn1(block.conv1(x)).relu()
        branch = block.bn2(block.conv2(branch))
        if kind is Bottleneck:
            branch = block.bn3(block.conv3(branch.relu()))
        torch.testing.assert_close(doubled, (x + 2 * branch).relu(), atol=1e-4, rtol=1e-4)


class Deformable(nn.Module):
    """A 3x3 that may look elsewhere (1703.06211), called like ``nn.Conv2d``; it starts looking where a 3x3 looks."""

    def __init__(self, channels: int, out_channels: int, kernel: int, **place: Any) -> None:
        super().__init__()
        groups, bias = place.pop("groups", 1), place.pop("bias")
        assert not bias
        self.place, shape = place, (out_channels, channels // groups, kernel, kernel)
        self.weight = nn.Parameter(noise(*shape, seed=5) / 30)
        self.offsets = nn.Conv2d(channels, 2 * kernel**2, kernel, **place)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)

    def forward(self, x: Tensor) -> Tensor:
        return torchvision.ops.deform_conv2d(x, self.offsets(x), self.weight, **self.place)


@torch.no_grad()
@pytest.mark.parametrize("norm", [batch_norm, frozen_batch_norm])
def test_every_3x3_of_the_plugged_levels_can_be_another_convolution(norm: Any) -> None:
    """A deformable one without offsets is the plain network, dilated and grouped too, and folded."""
    options = {"groups": 2, "base_width": 32, "output_stride": 16, "norm": norm, "out": (3, 4, 5)}
    net = trained(ResNet(Bottleneck, (1, 1, 1, 2), conv=Deformable, plugged=(4, 5), **options))
    kinds = [type(block.conv2) for i in range(1, 5) for block in net.get_submodule(f"layer{i}")]
    assert kinds == [nn.Conv2d, nn.Conv2d, Deformable, Deformable, Deformable]
    assert not net.layer4[0].conv2.offsets.weight.any(), "it keeps its own initialisation"
    plain = ResNet(Bottleneck, (1, 1, 1, 2), **options).eval()
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if "offsets" not in k})
    images = noise(1, 3, 64, 64)
    for found, folded, expected in zip(net(images), fold_norms(net)(images), plain(images), strict=True):
        near(found, expected)
        near(folded, expected)


def test_a_shortcut_that_averages_reads_every_cell_and_rounds_up() -> None:
    pool, conv, norm = resnet.resnet18_v1d().layer2[0].downsample
    assert (conv.stride, conv.kernel_size, type(norm)) == ((1, 1), (1, 1), nn.BatchNorm2d)
    x = torch.tensor([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    assert torch.equal(pool(x), torch.tensor([[[[3.0, 4.5], [7.5, 9]]]])), "cells beyond the border do not count"


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet18_v1c", "resnet18_v1d", "resnet50_v1s"])
def test_deep_stems_keep_their_names_in_every_form(name: str) -> None:
    torch.manual_seed(0)
    build = getattr(resnet, name)
    plain = trained(build())
    for options in ({"output_stride": 8}, {"small_images": True}, {"frozen_stages": 1}):
        net = build(**options)
        net.load_state_dict(plain.state_dict())
        maps = net.eval()(noise(1, 3, 64, 64))
        assert [64 // x.shape[2] for x in maps] == list(net.strides)
    frozen = {n.split(".")[0] for n, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "conv2", "bn2", "conv3", "bn3"}
    images = noise(1, 3, 64, 64)
    for found, expected in zip(fold_norms(plain)(images), plain(images), strict=True):
        near(found, expected)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Conv2d) for m in fold_norms(plain).modules())
