"""Darknets equal the backbones of mmdetection's YOLOv3 and of YOLOv4; dilation is timm's; sums are not activated."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from baimu.backbones.darknet import CSPStage, Darknet, DarkStage, cspdarknet53, darknet19, darknet53
from baimu.classification.classifier import Classifier
from baimu.weights.families.darknet import MMDETECTION, TIMM, TIMM_CSP
from baimu.weights.keys import Route, convert_back, load_converted, renamed
from tests.layers.test_norm import noise
from tests.parity.golden import Golden, filled
from tests.parity.peers.filled import fill


@torch.no_grad()
def test_darknet53_equals_mmdetection(shared: Path) -> None:
    golden = Golden.read(shared / "goldens/mmdet/yolov3_d53.npz")
    golden.meta["state"] = [entry for entry in golden.meta["state"] if entry[0].startswith("backbone.")]
    backbone = darknet53().eval()
    state = renamed(golden.state(), MMDETECTION)
    backbone.load_state_dict({key.removeprefix("backbone."): value for key, value in state.items()})
    for i, x in enumerate(backbone(golden.images())):
        assert golden.difference(f"eval/backbone/{i}", x) < 1e-5


YOLOV4_FIRST = {2: "past", 3: "through", 4: "blocks.0.conv1", 5: "blocks.0.conv2", 6: "after", 7: "join"}
YOLOV4_LATER = {2: "past", 3: "through", 4: "after", 5: "join"}
YOLOV4 = (
    (r"^down1\.conv1\.", "stem."),
    (r"^down1\.conv2\.", "stages.0.down."),
    *((rf"^down1\.conv{i + 1}\.", f"stages.0.{name}.") for i, name in YOLOV4_FIRST.items()),
    *((rf"^down{i}\.conv1\.", f"stages.{i - 1}.down.") for i in range(2, 6)),
    *(
        (rf"^down{stage}\.conv{i}\.", f"stages.{stage - 1}.{name}.")
        for stage in range(2, 6)
        for i, name in YOLOV4_LATER.items()
    ),
    *(
        (rf"^down{stage}\.resblock\.module_list\.(\d)\.{i}\.", rf"stages.{stage - 1}.blocks.\1.conv{i + 1}.")
        for stage in range(2, 6)
        for i in range(2)
    ),
    (r"\.conv\.0\.", ".conv."),
    (r"\.conv\.1\.", ".norm."),
)
"""Names of Tianxiaomo/pytorch-YOLOv4, in the order of the cfg."""


@torch.no_grad()
def test_cspdarknet53_with_mish_equals_yolov4(shared: Path) -> None:
    golden = Golden.read(shared / "goldens/yolo/yolov4.npz")
    entries = [entry for entry in golden.meta["states"]["model"] if entry[0].startswith("down")]
    theirs = {entry[0]: torch.from_numpy(np.asarray(filled(*entry), np.float32)) for entry in entries}
    backbone = cspdarknet53(act="mish").eval()
    backbone.load_state_dict(renamed(theirs, Route(models="", table=YOLOV4)))
    images = np.tanh(np.random.RandomState(0).standard_normal((2, 3, 128, 128)).astype(np.float32))
    for i, x in enumerate(backbone(torch.from_numpy(images)), start=3):
        assert golden.difference(f"eval/down{i}", x) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize(("name", "route"), [("darknet53", TIMM), ("cspdarknet53", TIMM_CSP)])
def test_dilation_in_place_of_strides_is_timms(name: str, route: Route) -> None:
    cspnet = pytest.importorskip("timm.models.cspnet", reason="needs timm: pip install timm")
    depths = (1, 1, 1, 1, 1)
    stages = dataclasses.replace(cspnet.model_cfgs[name].stages, depth=depths)
    config = dataclasses.replace(cspnet.model_cfgs[name], stages=stages)
    theirs = fill(cspnet.CspNet(config, num_classes=3, output_stride=8)).eval()
    stage = {"darknet53": DarkStage, "cspdarknet53": CSPStage}[name]
    ours = Classifier(Darknet(stage, depths, slope=0.01, output_stride=8), num_classes=3).eval()
    load_converted(ours, theirs.state_dict(), route)
    images = noise(1, 3, 49, 70)
    found, expected = ours.backbone(images), theirs.get_submodule("stages")(theirs.get_submodule("stem")(images))
    assert [x.shape[2:] for x in found] == [(7, 9)] * 3
    assert ours.backbone.strides == (8, 8, 8)
    torch.testing.assert_close(found[-1], expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-4)


@pytest.mark.parametrize(("output_stride", "strides"), [(32, (8, 16, 32)), (16, (8, 16, 16)), (8, (8, 8, 8))])
def test_strides_are_told(output_stride: int, strides: tuple[int, ...]) -> None:
    with torch.device("meta"):
        backbone = cspdarknet53(output_stride=output_stride)
    assert backbone.strides == strides
    assert [x.shape[3] for x in backbone(torch.empty(1, 3, 64, 64, device="meta"))] == [64 // s for s in strides]


def test_ways_come_together_and_apart_again_bit_for_bit() -> None:
    """timm has one convolution for both ways of a stage, and joins them in the other order."""
    torch.manual_seed(0)
    ours = Classifier(Darknet(CSPStage, (1, 1, 1, 1, 1)), num_classes=2).state_dict()
    ours = {key: torch.randn(value.shape) if value.is_floating_point() else value for key, value in ours.items()}
    theirs = convert_back(ours, TIMM_CSP)
    assert theirs["stages.1.conv_exp.conv.weight"].shape == (128, 128, 1, 1)
    assert not any(re.search(r"past|through|backbone", key) for key in theirs)
    again = renamed(theirs, TIMM_CSP)
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[key], value) for key, value in ours.items())


def test_a_residual_sum_is_not_activated() -> None:
    """The spec's trap: negative values pass, where an activation would shrink them."""
    stage = Darknet(DarkStage, (1, 1, 1, 1, 1), out=(1,)).stages[0]
    block = stage.get_submodule("blocks.0")
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = noise(1, 64, 4, 4)
    assert torch.equal(block(x), x)


def _ceil(size: int, steps: int) -> int:
    for _ in range(steps):
        size = -(-size // 2)
    return size


@torch.no_grad()
@pytest.mark.parametrize("build", [darknet19, darknet53])
def test_levels_1_to_5_round_up(build: Callable[..., Darknet]) -> None:
    """Darknet's poolings and convolutions alike."""
    backbone = build(out=(1, 2, 3, 4, 5)).eval()
    assert backbone.channels == (64, 128, 256, 512, 1024)
    maps = backbone(noise(1, 3, 45, 70))
    assert [x.shape[2:] for x in maps] == [(_ceil(45, level), _ceil(70, level)) for level in range(1, 6)]


@torch.no_grad()
def test_small_images_keep_a_map() -> None:
    for build in (darknet19, cspdarknet53):
        backbone = build(small_images=True, out=(1, 2, 3)).eval()
        assert backbone.strides == (1, 1, 2)
        assert [x.shape[2:] for x in backbone(noise(1, 3, 28, 28))] == [(28, 28), (28, 28), (14, 14)]


def test_drop_path_rises_with_depth() -> None:
    backbone = Darknet(DarkStage, (1, 2, 1, 1, 1), drop_path=0.5)
    rates = [m.rate for m in backbone.modules() if type(m).__name__ == "DropPath"]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (darknet19, {"drop_path": 0.1}, "Darknet-19 has no residual blocks"),
        (darknet53, {"output_stride": 4}, "output_stride must be 8, 16 or 32, got 4"),
        (cspdarknet53, {"out": (0, 1)}, r"out must name levels of \(1, 2, 3, 4, 5\)"),
    ],
)
def test_impossible_options_are_refused(build: Callable[..., Darknet], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_any_activation_is_in_every_convolution() -> None:
    def kinds(**options: object) -> set[str]:
        net = Darknet(CSPStage, (1, 1, 1, 1, 1), out=(1, 2), **options)  # type: ignore[arg-type]
        return {repr(m) for m in net.modules() if not [*m.children()] and not isinstance(m, nn.Conv2d | nn.BatchNorm2d)}

    assert kinds() == {"LeakyReLU(negative_slope=0.1, inplace=True)", "DropPath(rate=0)"}
    assert kinds(slope=0.01) == {"LeakyReLU(negative_slope=0.01, inplace=True)", "DropPath(rate=0)"}
    assert kinds(act=nn.SiLU) == {"SiLU()", "DropPath(rate=0)"}
