"""HRNet equals mmsegmentation's; branches hear each other as the paper says; what nobody hears is not built."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.hrnet import HRModule, HRNet, HRNetHead, Upsampling, hrnet_w18, hrnet_w18_small
from baimu.classification.classifier import Classifier
from baimu.layers.norm import batch_norm
from baimu.weights import openmmlab, timm
from baimu.weights.keys import convert_back, load_converted
from tests.layers.test_norm import noise
from tests.parity.golden import Golden
from tests.parity.peers.filled import fill


@torch.no_grad()
def test_maps_equal_mmsegmentation(shared: Path) -> None:
    """W18 with bilinear enlargement, under the names of its backbone."""
    golden = Golden.read(shared / "goldens/mmseg/fcn_hr18.npz")
    backbone = hrnet_w18(upsampling="bilinear").eval()
    state = {k.removeprefix("backbone."): v for k, v in golden.state().items() if k.startswith("backbone.")}
    backbone.load_state_dict(state)
    for i, x in enumerate(backbone(golden.images())):
        assert golden.difference(f"eval/backbone/{i}", x) < 1e-5


@pytest.mark.parametrize(("name", "parameters"), [("hrnet_w18", 9.56), ("hrnet_w32", 29.31), ("hrnet_w48", 65.33)])
def test_features_alone_have_the_published_size(name: str, parameters: float) -> None:
    from baimu.backbones import hrnet

    with torch.device("meta"):
        backbone = getattr(hrnet, name)()
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(parameters, abs=0.006)


@torch.no_grad()
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear", "bilinear_corners"])
def test_every_branch_hears_every_other(upsampling: Upsampling) -> None:
    """Against the sum written out: 1x1, norm and enlargement from coarser branches, strided 3x3 from finer ones, ReLU
    after all of these but the last."""
    torch.manual_seed(0)
    module = fill(HRModule((4, 8, 16), 0, range(3), norm=batch_norm, upsampling=upsampling)).eval()
    state = module.state_dict()
    maps = [noise(1, 4, 12, 20), noise(1, 8, 6, 10), noise(1, 16, 3, 5)]
    options: dict[str, Any] = {"mode": upsampling.partition("_")[0]}
    if upsampling != "nearest":
        options["align_corners"] = upsampling.endswith("corners")

    def step(x: Tensor, name: str, stride: int) -> Tensor:
        conv, norm = f"{name}.0.", f"{name}.1."
        x = F.conv2d(x, state[f"{conv}weight"], None, stride, state[f"{conv}weight"].shape[-1] // 2)
        statistics = (state[f"{norm}running_mean"], state[f"{norm}running_var"])
        return F.batch_norm(x, *statistics, state[f"{norm}weight"], state[f"{norm}bias"])

    for to, found in enumerate(module([x.clone() for x in maps])):
        total = torch.zeros_like(maps[to])
        for start, x in enumerate(maps):
            if start > to:
                x = step(x, f"fuse_layers.{to}.{start}", 1)
                x = F.interpolate(x, scale_factor=2.0 ** (start - to), **options)
            for i in range(to - start):
                x = step(x, f"fuse_layers.{to}.{start}.{i}", 2)
                x = x.relu() if i < to - start - 1 else x
            total = total + x
        torch.testing.assert_close(found, total.relu(), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_images_of_any_size_pass_and_are_equal_where_both_can() -> None:
    backbone = hrnet_w18_small().eval()
    for height, width in ((97, 69), (33, 40), (31, 1)):
        maps = backbone(noise(1, 3, height, width))
        for x, stride in zip(maps, backbone.strides, strict=True):
            assert x.shape[2:] == (-(-height // stride), -(-width // stride))


def test_a_branch_that_nobody_asks_for_is_not_fed_a_last_time() -> None:
    """As the paper's V1, which reads the finest branch alone: every parameter that is left has a gradient."""
    whole, finest = hrnet_w18_small(), hrnet_w18_small(out=(2,))
    assert set(finest.state_dict()) < set(whole.state_dict())
    last = [key for key in finest.state_dict() if key.startswith("stage4.0.fuse_layers.")]
    assert {key.split(".")[3] for key in last} == {"0"}
    finest(noise(1, 3, 64, 64))[0].square().sum().backward()
    assert [n for n, p in finest.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_stem_alone_and_beside_branches() -> None:
    stem = hrnet_w18_small(out=(1,))
    assert {name for name, _ in stem.named_children()} == {"conv1", "bn1", "act1"}
    assert (stem.channels, stem.strides) == ((64,), (2,))
    assert Classifier(stem, num_classes=3)(noise(2, 3, 32, 32)).shape == (2, 3)
    both = hrnet_w18_small(out=(1, 3))
    assert [x.shape[1:] for x in both(noise(1, 3, 64, 64))] == [(64, 32, 32), (32, 8, 8)]
    assert Classifier(both, num_classes=3).eval()(noise(1, 3, 64, 64)).shape == (1, 3)


@torch.no_grad()
def test_the_head_adds_nothing_for_an_absent_branch() -> None:
    """The head on branches 1 and 3 is that on 1, 2 and 3 where the second's bottleneck says zero."""
    torch.manual_seed(0)
    whole = HRNetHead({1: 8, 2: 16, 3: 32}, 3, norm=batch_norm).eval()
    part = HRNetHead({1: 8, 3: 32}, 3, norm=batch_norm).eval()
    part.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("incre_modules.2.")})
    for key, value in whole.state_dict().items():
        if key.startswith("incre_modules.2.") and value.is_floating_point():
            value.zero_()
    maps = [noise(2, 8, 12, 8), noise(2, 16, 6, 4), noise(2, 32, 3, 2)]
    torch.testing.assert_close(part([maps[0], maps[2]]), whole(maps))


@torch.no_grad()
def test_weights_go_to_mmpretrain_whose_head_has_no_biases() -> None:
    """A bias before a norm goes into its mean: the same logits from a network without."""
    torch.manual_seed(0)
    ours = fill(Classifier(hrnet_w18_small(), num_classes=5))
    route = openmmlab.SOURCE.route("hrnet_w18_small")
    theirs = convert_back(ours.state_dict(), route)
    assert not any(key.startswith("neck.") and key.endswith("conv.bias") for key in theirs)
    again = Classifier(hrnet_w18_small(like="openmmlab"), num_classes=5).eval()
    load_converted(again, theirs, route)
    images = noise(2, 3, 64, 64)
    torch.testing.assert_close(again(images), ours.eval()(images), atol=1e-5, rtol=1e-4)
    authors = convert_back(ours.state_dict(), timm.SOURCE.route("hrnet_w18_small"))
    assert authors.keys() >= {"final_layer.0.bias", "classifier.weight"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"upsampling": "bicubic"}, "upsampling must be one of nearest, bilinear, bilinear_corners, got 'bicubic'"),
        ({"like": "timm"}, 'like must be "authors" or "openmmlab", got \'timm\''),
        ({"out": (3, 2)}, r"out must name levels of \(1, 2, 3, 4, 5\) in rising order"),
        ({"frozen_stages": 6}, "0 .* to 5 .*, got 6"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hrnet_w18_small(**options)


@pytest.mark.parametrize("frozen", [1, 2, 3, 5])
def test_frozen_levels_are_stages(frozen: int) -> None:
    backbone = HRNet(4, stem_blocks=1, stem_width=8, modules=(1, 1, 1), blocks=1, frozen_stages=frozen)
    of = {"conv1": 1, "bn1": 1, "act1": 1, "conv2": 2, "bn2": 2, "layer1": 2}
    of |= {f"transition{stage - 1}": stage + 1 for stage in (2, 3, 4)}
    of |= {f"stage{stage}": stage + 1 for stage in (2, 3, 4)}
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == (of[name.split(".")[0]] > frozen), name


def test_any_activation_is_in_every_place() -> None:
    """In the head too; the Identity is what the transitions keep."""
    build = functools.partial(HRNet, 4, stem_blocks=1, stem_width=8, modules=(1, 1, 1), blocks=1)
    plain, smooth = (Classifier(build(act=act), num_classes=2) for act in ("relu", "silu"))
    places = [name for name, m in plain.named_modules() if isinstance(m, nn.ReLU)]
    assert places == [name for name, m in smooth.named_modules() if isinstance(m, nn.SiLU)]
    assert not any(isinstance(m, nn.ReLU) for m in smooth.modules())
    assert {"backbone.act1", "backbone.stage4.0.fuse_layers.0.act", "head.final_layer.act"} <= set(places)
