"""MobileNets: their own arithmetic, dilation, TensorFlow's padding, and mmdetection's and transformers' networks."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
import transformers
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from baimu.backbones import mobilenet
from baimu.backbones.depthwise import Block, InvertedResidual, rounded
from baimu.backbones.mobilenet import MobileNetV1, MobileNetV2, MobileNetV3, SeparableConv
from baimu.classification.classifier import Classifier
from baimu.errors import UnknownNameError
from baimu.layers.fold import fold_norms
from baimu.layers.fused import FusedConv2d
from baimu.layers.norm import batch_norm, frozen_batch_norm, with_numbers
from baimu.weights.keys import load_converted, renamed
from baimu.weights.recognise import source_named
from baimu.zoo import create_model
from tests.backbones.test_families import close
from tests.layers.test_norm import noise
from tests.parity.golden import Golden
from tests.parity.peers.filled import fill


def without_norm(channels: int) -> nn.Module:
    del channels
    return nn.Identity()


def same_weights(ours: nn.Module, theirs: nn.Module, name: str, library: str = "timm") -> None:
    """``ours`` is a Classifier of the catalogue's ``name``."""
    load_converted(ours, fill(theirs).state_dict(), source_named(library).route(name))


@torch.no_grad()
def test_v1_is_a_dense_convolution_whose_kernels_are_products() -> None:
    """Of each pair of channels: the 3x3 of one, times the weight between both."""
    block = SeparableConv(4, Block(6, act=nn.Identity), norm=without_norm)
    spread, mix = block.depthwise.conv.weight, block.pointwise.conv.weight
    x = noise(2, 4, 7, 5)
    torch.testing.assert_close(block(x), F.conv2d(x, mix * spread[None, :, 0], padding=1))


@torch.no_grad()
def test_v2s_block_is_linear_but_for_the_activations_inside() -> None:
    x, y = noise(2, 8, 6, 6), noise(2, 8, 6, 6, seed=2)
    line = Block(8, expanded=48, act=nn.Identity)
    linear = InvertedResidual(8, line, norm=without_norm)
    torch.testing.assert_close(linear(2 * x - y), 2 * linear(x) - linear(y))
    bent = InvertedResidual(8, line._replace(act=nn.ReLU6), norm=without_norm)
    assert bent.expand is not None
    inside = F.relu6(bent.depthwise.conv(F.relu6(bent.expand.conv(x))))
    torch.testing.assert_close(bent(x), bent.project.conv(inside) + x)


def test_a_shortcut_only_where_shapes_agree() -> None:
    def shortcuts(net: nn.Module) -> list[bool]:
        return [m.drop_path is not None for m in net.modules() if isinstance(m, InvertedResidual)]

    assert shortcuts(MobileNetV2()) == [i > 0 for count in (1, 2, 3, 4, 3, 3, 1) for i in range(count)]
    large = [True] + [i > 0 for count in (2, 3, 4, 2, 3) for i in range(count)]
    assert shortcuts(MobileNetV3("large")) == large
    assert not any(isinstance(m, InvertedResidual) for m in MobileNetV1().modules())


def test_widths_are_the_nearest_multiple_of_8_that_is_no_tenth_below() -> None:
    for channels in range(3, 1001):
        near = min(range(8, 1016, 8), key=lambda m: (abs(m - channels), -m))
        assert rounded(channels) == (near if near >= 0.9 * channels else near + 8)
        assert rounded(channels) >= 0.9 * channels


@torch.no_grad()
def test_v3s_gate_is_shut_below_minus_3_and_open_above_3() -> None:
    gate = next(m.squeeze for m in MobileNetV3("small").modules() if isinstance(m, InvertedResidual))
    assert gate is not None
    nn.init.zeros_(gate.expand.weight)
    assert gate.expand.bias is not None
    x = noise(2, 16, 5, 5)
    for bias, share in ((-3.0, 0.0), (-1.5, 0.25), (0.0, 0.5), (3.0, 1.0), (7.0, 1.0)):
        nn.init.constant_(gate.expand.bias, bias)
        torch.testing.assert_close(gate(x), x * share)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("mobilenet_v1", 569),
        ("mobilenet_v2", 301),
        ("mobilenet_v3_large", 217),
        ("mobilenet_v3_small", 57),
        ("shufflenet_v1_x1_0", 138),
        ("shufflenet_v2_x1_0", 145),
        ("efficientnet_b0", 386),
    ],
)
def test_it_does_as_many_multiplications_as_published(name: str, millions: int) -> None:
    with torch.device("meta"):
        model, images = create_model(name).eval(), torch.empty(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter:
        model(images)
    assert counter.get_total_flops() / 2e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("stride", [8, 16])
@torch.no_grad()
def test_dilation_after_the_lost_stride_is_timms(stride: int) -> None:
    theirs = timm.create_model("mobilenetv2_100", features_only=True, output_stride=stride, out_indices=(1, 2, 3, 4))
    whole = timm.create_model("mobilenetv2_100")
    theirs.load_state_dict({k: v for k, v in fill(whole).state_dict().items() if k in theirs.state_dict()})
    ours = create_model("mobilenet_v2", output_stride=stride)
    load_converted(ours, whole.state_dict(), source_named("timm").route("mobilenet_v2"))
    assert isinstance(ours, Classifier)
    assert ours.backbone.strides == tuple(min(s, stride) for s in (4, 8, 16, 32))
    images = noise(1, 3, 96, 64)
    for level, (found, expected) in enumerate(zip(ours.eval().backbone(images), theirs.eval()(images), strict=True)):
        close(found, expected, f"level {level + 2}")


@pytest.mark.parametrize(("size", "tail"), [("large", 1.0), ("small", 0.5)])
@torch.no_grad()
def test_the_dilated_tail_is_torchvisions(size: Any, tail: float) -> None:
    name = f"mobilenet_v3_{size}"
    theirs = torchvision.models.get_model(name, weights=None, dilated=True, reduced_tail=tail < 1)
    ours = create_model(name, output_stride=16, tail=tail)
    same_weights(ours, theirs, name, "torchvision")
    images = noise(1, 3, 96, 64)
    close(ours.eval()(images), theirs(images), "logits")
    last = theirs.get_submodule("features")(images)
    assert isinstance(ours, Classifier)
    close(ours.backbone(images)[-1], last, "last map")
    assert last.shape[2:] == (6, 4)


def test_each_rule_of_dilation_spreads_its_own_blocks() -> None:
    def spread(**options: Any) -> list[int]:
        net = MobileNetV2(output_stride=8, **options)
        return [m.depthwise.conv.dilation[0] for m in net.modules() if isinstance(m, InvertedResidual)]

    start = [1] * 6
    assert spread() == [*start, 1, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4]
    assert spread(dilate="whole") == [*start, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4]
    assert spread(dilate="first") == [*start, 2, 1, 1, 1, 2, 1, 1, 4, 1, 1, 4], "dilations 1 1 1 2 2 4 4 of mmseg"


@pytest.mark.parametrize("side", [64, 79])
@torch.no_grad()
def test_v1_for_tensorflows_weights_is_transformers(side: int) -> None:
    config = transformers.MobileNetV1Config(depth_multiplier=0.5, id2label={i: str(i) for i in range(1001)})
    theirs = transformers.MobileNetV1ForImageClassification(config)
    ours = create_model("mobilenet_v1_x0_5", num_classes=1001, like="tensorflow")
    same_weights(ours, theirs, "mobilenet_v1_x0_5", "huggingface")
    images = noise(2, 3, side, side + 2)
    close(ours.eval()(images), theirs.eval()(images).logits, "logits")


@pytest.mark.parametrize("ours", ["mobilenet_v3_large", "mobilenet_v3_small_x0_75"])
@torch.no_grad()
def test_v3_for_tensorflows_weights_is_timms(ours: str) -> None:
    theirs = timm.create_model({"mobilenet_v3_large": "tf_mobilenetv3_large_100"}.get(ours, "tf_mobilenetv3_small_075"))
    model = create_model(ours, like="tensorflow")
    same_weights(model, theirs, ours)
    images = noise(2, 3, 64, 70)
    close(model.eval()(images), theirs.eval()(images), "logits")


@torch.no_grad()
def test_v2_is_mmdetections(shared: Path) -> None:
    """Its SSDLite reads the block before the last stride, and the 1x1 convolution of the classifier."""
    golden = Golden.read(shared / "goldens/mmdet/ssdlite_mobilenetv2.npz")
    golden.meta["state"] = [entry for entry in golden.meta["state"] if entry[0].startswith("backbone.")]
    state = renamed(golden.state(), source_named("openmmlab").route("mobilenet_v2"))
    model = create_model("mobilenet_v2", norm=with_numbers(batch_norm, eps=1e-3)).eval()
    assert isinstance(model, Classifier)
    missing, surplus = model.load_state_dict(state, strict=False)
    assert (missing, surplus) == (["head.linear.weight", "head.linear.bias"], [])
    maps = model.backbone(golden.images())
    assert golden.difference("eval/backbone/0", maps[2]) < 1e-5
    assert golden.difference("eval/backbone/1", model.head.get_submodule("widen")(maps[3])) < 1e-5


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_x0_25", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v1_x0_5", "shufflenet_v2_x0_5"]
)
@torch.no_grad()
def test_an_inference_copy_computes_the_same_with_activations_in_its_convolutions(name: str) -> None:
    torch.manual_seed(0)
    model = fill(create_model(name, num_classes=5))
    folded, images = fold_norms(model), noise(2, 3, 64, 96)
    close(folded(images), model(images), "logits")
    assert not any(isinstance(m, nn.BatchNorm2d | nn.Conv2d) for m in folded.modules())
    assert any(isinstance(m, FusedConv2d) for m in folded.modules())


@torch.no_grad()
def test_frozen_norms_have_the_familys_eps() -> None:
    model = create_model("mobilenet_v3_small", norm=frozen_batch_norm).eval()
    other = fill(create_model("mobilenet_v3_small"))
    model.load_state_dict(other.state_dict())
    images = noise(1, 3, 64, 64)
    close(model(images), other(images), "logits")


def test_another_activation_is_in_hard_swishs_place() -> None:
    kinds = {type(m) for m in MobileNetV3("large", act=nn.Mish).modules()}
    assert nn.Hardswish not in kinds
    assert {nn.Mish, nn.ReLU} <= kinds
    assert {type(m) for m in MobileNetV2(act=nn.GELU).modules()}.isdisjoint({nn.ReLU, nn.ReLU6})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"output_stride": 4}, ValueError, "output_stride must be 8, 16 or 32, got 4"),
        ({"dilate": "all"}, UnknownNameError, "Known: after, first, whole"),
        ({"like": "tensorflw"}, UnknownNameError, "tensorflow"),
        ({"out": (2, 7)}, ValueError, "rising order"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mobilenet.mobilenet_v2(**options)
    with pytest.raises(ValueError, match="v1 has no shortcuts"):
        mobilenet.mobilenet_v1(drop_path=0.1)


def test_paths_are_dropped_more_the_deeper_they_are() -> None:
    net = MobileNetV2(drop_path=0.17)
    rates = [m.drop_path.rate for m in net.modules() if isinstance(m, InvertedResidual) and m.drop_path is not None]
    assert all(a < b for a, b in itertools.pairwise(rates))
    assert rates[-1] == pytest.approx(0.17 * 15 / 17)


def test_checkpoints_of_widths_are_told_apart() -> None:
    """Every width has other shapes: a file of one never loads into another."""
    states: dict[str, tuple[tuple[int, ...], ...]] = {}
    for name in (name for name in vars(mobilenet) if name.startswith("mobilenet_v")):
        with torch.device("meta"):
            state: dict[str, Tensor] = create_model(name).state_dict()
        states[name] = tuple(tuple(value.shape) for value in state.values())
    assert len(set(states.values())) == len(states) == 13
