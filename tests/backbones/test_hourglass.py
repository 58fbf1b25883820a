"""The stacked hourglass equals mmdetection's and one that is written out here; its size is the published one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.hourglass import HourglassNet, hourglass52, hourglass104
from baimu.layers.norm import FrozenBatchNorm2d, frozen_batch_norm
from baimu.weights.families.hourglass import CORNERNET, MMDETECTION
from baimu.weights.keys import Route, convert_back, renamed
from tests.layers.test_norm import noise
from tests.parity.golden import Golden
from tests.parity.peers.filled import fill

small = functools.partial(HourglassNet, channels=(8, 8, 12, 16), blocks=(2, 2, 1, 3))


@pytest.mark.slow  # it fills 188 million parameters by the rule
@torch.no_grad()
def test_maps_equal_mmdetection(shared: Path) -> None:
    """Hourglass-104 of CornerNet, both maps."""
    golden = Golden.read(shared / "goldens/mmdet/cornernet_hourglass104.npz")
    golden.meta["state"] = [entry for entry in golden.meta["state"] if entry[0].startswith("backbone.")]
    backbone = hourglass104().eval()
    state = renamed(golden.state(), Route(models="", table=MMDETECTION))
    backbone.load_state_dict({key.removeprefix("backbone."): value for key, value in state.items()})
    for i, x in enumerate(backbone(golden.images())):
        assert golden.difference(f"eval/backbone/{i}", x) < 1e-5


def test_names_and_shapes_are_mmdetections(shared: Path) -> None:
    entries = Golden.read(shared / "goldens/mmdet/cornernet_hourglass104.npz").meta["state"]
    theirs = {name: torch.empty(shape, device="meta") for name, shape, *_ in entries if name.startswith("backbone.")}
    with torch.device("meta"):
        ours = hourglass104().state_dict()
    found = renamed(theirs, Route(models="", table=MMDETECTION))
    assert {k.removeprefix("backbone."): v.shape for k, v in found.items()} == {k: v.shape for k, v in ours.items()}


@pytest.mark.parametrize(("build", "parameters"), [(hourglass52, 93_662_848), (hourglass104, 187_700_352)])
def test_it_has_the_published_size(build: Callable[[], HourglassNet], parameters: int) -> None:
    """187.7 M with two hourglasses; one is the half and not the layers between them."""
    with torch.device("meta"):
        assert sum(p.numel() for p in build().parameters()) == parameters


def test_cornernets_names_go_there_and_come_back() -> None:
    ours = {f"backbone.{key}": value for key, value in small(2).state_dict().items()}
    route = Route(models="", table=CORNERNET)
    theirs = convert_back(ours, route)
    known = {"pre.1.skip.0.weight", "kps.1.low2.low2.low3.0.conv1.weight", "inters_.0.1.bias", "cnvs_.0.0.weight"}
    assert known | {"pre.0.bn.weight", "cnvs.1.conv.weight", "inters.0.bn2.bias"} <= theirs.keys()
    assert not any(key.startswith("backbone") for key in theirs)
    assert {k: v.shape for k, v in renamed(theirs, route).items()} == {k: v.shape for k, v in ours.items()}


@torch.no_grad()
def test_two_small_hourglasses_are_written_out() -> None:
    """From the parameters alone, by the recursion of the paper, at a size at which every map is odd."""
    torch.manual_seed(0)
    net = fill(small(2)).eval()
    state = net.state_dict()

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
        statistics = (state[f"{norm}.running_mean"], state[f"{norm}.running_var"])
        return F.batch_norm(x, *statistics, state[f"{norm}.weight"], state[f"{norm}.bias"])

    def block(x: Tensor, name: str, stride: int = 1) -> Tensor:
        out = layer(x, f"{name}.conv1", f"{name}.bn1", stride).relu()
        skip = f"{name}.downsample.0"
        shortcut = layer(x, skip, f"{name}.downsample.1", stride) if f"{skip}.weight" in state else x
        return (layer(out, f"{name}.conv2", f"{name}.bn2") + shortcut).relu()

    def blocks(x: Tensor, name: str, count: int, stride: int = 1) -> Tensor:
        for i in range(count):
            x = block(x, f"{name}.{i}", stride if i == 0 else 1)
        return x

    def hourglass(x: Tensor, name: str, counts: tuple[int, ...]) -> Tensor:
        own, *inner = counts
        kept = blocks(x, f"{name}.up1", own)
        low = blocks(x, f"{name}.low1", own, stride=2)
        deeper = len(inner) > 1
        low = hourglass(low, f"{name}.low2", tuple(inner)) if deeper else blocks(low, f"{name}.low2", inner[0])
        low = blocks(low, f"{name}.low3", own)
        rows, columns = (torch.arange(n) * m // n for n, m in zip(kept.shape[2:], low.shape[2:], strict=True))
        return kept + low[:, :, rows][..., columns]

    images = noise(2, 3, 75, 91)
    x = block(layer(images, "stem.0.conv", "stem.0.norm", 2).relu(), "stem.1.0", 2)
    first = layer(hourglass(x, "hourglass_modules.0", (2, 2, 1, 3)), "out_convs.0.conv", "out_convs.0.norm").relu()
    x = layer(x, "conv1x1s.0.conv", "conv1x1s.0.norm") + layer(first, "remap_convs.0.conv", "remap_convs.0.norm")
    x = block(x.relu(), "inters.0")
    second = layer(hourglass(x, "hourglass_modules.1", (2, 2, 1, 3)), "out_convs.1.conv", "out_convs.1.norm").relu()
    assert first.shape == (2, 8, 19, 23)
    for found, expected in zip(net(images), (first, second), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_both_maps_have_stride_4_and_out_chooses_between_them() -> None:
    both, last = small(2), small(2, out=(2,))
    assert (both.channels, both.strides, last.channels, last.strides) == ((8, 8), (4, 4), (8,), (4,))
    last.load_state_dict(both.state_dict())
    images = noise(1, 3, 64, 96)
    with torch.no_grad():
        maps = both.eval()(images)
        assert torch.equal(last.eval()(images)[0], maps[1])
    assert [x.shape for x in maps] == [(1, 8, 16, 24)] * 2
    first = small(2, out=(1,))
    assert first.state_dict().keys() == small(1).state_dict().keys(), "no second hourglass in vain"
    assert first.state_dict().keys() < both.state_dict().keys()


def test_every_parameter_learns_and_checkpointing_changes_no_number() -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        net = small(2, checkpointing=checkpointing).train()
        sum(x.square().mean() for x in net(noise(2, 3, 64, 64))).backward()  # type: ignore[union-attr]
        found.append((dict(net.named_parameters()), dict(net.named_buffers())))
    (plain, statistics), (again, other_statistics) = found
    for name, parameter in plain.items():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        torch.testing.assert_close(again[name].grad, parameter.grad)
    for name, value in statistics.items():
        torch.testing.assert_close(other_statistics[name], value)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_hourglasses_learn_nothing(frozen: int) -> None:
    net = small(2, frozen_stages=frozen).train()
    stacks = {"stem": 1, "hourglass_modules.0": 1, "out_convs.0": 1}
    for name, parameter in net.named_parameters():
        stack = next((stack for prefix, stack in stacks.items() if name.startswith(prefix)), 2)
        assert parameter.requires_grad == (stack > frozen), name
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert any(m.training for m in norms) == (frozen < 2)


def test_norm_and_impossible_options() -> None:
    kinds = {type(m) for m in small(1, norm=frozen_batch_norm).modules()}
    assert FrozenBatchNorm2d in kinds
    assert nn.BatchNorm2d not in kinds
    with pytest.raises(ValueError, match=r"out must name levels of \(1, 2\)"):
        small(2, out=(3,))
    with pytest.raises(ValueError, match="an hourglass needs channels and blocks of at least two sizes"):
        HourglassNet(1, channels=(8, 8), blocks=(2,))


def test_any_activation_is_in_every_place() -> None:
    plain, smooth = small(2), small(2, act="silu")
    places = [name for name, m in smooth.named_modules() if isinstance(m, nn.SiLU)]
    assert len(places) == sum(isinstance(m, nn.ReLU) for m in plain.modules()) > 0
    assert not any(isinstance(m, nn.ReLU) for m in smooth.modules())
