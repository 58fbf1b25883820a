"""Names of the residual families in OpenMMLab's checkpoints, which no installed library can build."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baimu.errors import CheckpointError
from baimu.weights.keys import convert, convert_back, renamed
from baimu.weights.recognise import source_named
from baimu.zoo import create_model

STATISTICS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def ours(name: str) -> dict[str, Tensor]:
    """A state of ours, every value another."""
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in create_model(name, num_classes=2).state_dict().items()}
    return {key: torch.full(shape, float(i)) for i, (key, shape) in enumerate(shapes.items())}


def norm(name: str) -> set[str]:
    return {f"{name}.{kind}" for kind in STATISTICS}


def stem(*convs: str, norms: tuple[str, ...]) -> set[str]:
    return {f"backbone.stem.{conv}.weight" for conv in convs}.union(*(norm(f"backbone.stem.{n}") for n in norms))


MMPRETRAIN = stem("0.conv", "1.conv", "2.conv", norms=("0.bn", "1.bn", "2.bn"))
"""A convolution module each."""
MMSEG = stem("0", "3", "6", norms=("1", "4", "7"))
"""One flat sequence of convolution, norm, ReLU."""
PLAIN = {"backbone.conv1.weight", *norm("backbone.bn1")}


def begins(state: dict[str, Tensor], prefix: str) -> set[str]:
    return {key for key in state if key.startswith(prefix)}


@pytest.mark.parametrize(
    ("name", "front", "shortcut"),
    [
        ("resnet18_v1c", MMPRETRAIN, {"layer2.0": ("0", "1")}),
        ("resnet50_v1c", MMPRETRAIN, {"layer1.0": ("0", "1"), "layer2.0": ("0", "1")}),
        ("resnet50_v1d", MMPRETRAIN, {"layer1.0": ("0", "1"), "layer2.0": ("1", "2")}),
        ("resnest50", MMPRETRAIN, {"layer1.0": ("0", "1"), "layer2.0": ("1", "2")}),
        ("seresnet50", PLAIN, {"layer1.0": ("0", "1"), "layer2.0": ("0", "1")}),
        ("res2net50_26w_4s", PLAIN, {"layer1.0": ("0", "1"), "layer2.0": ("0", "1")}),
        ("res2net101_v1d_26w_4s", MMPRETRAIN, {"layer1.0": ("1", "2"), "layer2.0": ("1", "2")}),
    ],
)
def test_names_are_mmpretrains(name: str, front: set[str], shortcut: dict[str, tuple[str, str]]) -> None:
    route = source_named("openmmlab").route(name)
    state = ours(name)
    theirs = convert_back(state, route)
    assert {key for key in theirs if not key.startswith("backbone.layer")} == {*front, "head.fc.weight", "head.fc.bias"}
    for block, (conv, after) in shortcut.items():
        place = f"backbone.{block}.downsample"
        assert begins(theirs, f"{place}.") == {f"{place}.{conv}.weight", *norm(f"{place}.{after}")}
    again = renamed(theirs, route)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[key], value) for key, value in state.items())


def test_parts_of_the_blocks_have_the_references_names() -> None:
    expected = {
        "seresnet50": [f"se_layer.conv{i}.conv.{kind}" for i in (1, 2) for kind in ("weight", "bias")],
        "res2net50_26w_4s": [f"{part}.{i}.weight" for part in ("convs", "bns") for i in range(3)],
        "resnest50": [f"conv2.{part}" for part in ("conv.weight", "bn0.weight", "fc1.bias", "bn1.bias", "fc2.bias")],
    }
    for name, parts in expected.items():
        theirs = convert_back(ours(name), source_named("openmmlab").route(name))
        assert {f"backbone.layer3.1.{part}" for part in parts} <= theirs.keys(), name


@pytest.mark.parametrize("name", ["resnet50_v1c", "resnet50_v1d", "resnest50", "res2net101_v1d_26w_4s"])
@pytest.mark.parametrize("alone", [False, True], ids=["segmenter's", "backbone alone"])
def test_stems_of_mmsegmentation_and_mmdetection_are_read(name: str, alone: bool) -> None:
    """A flat stem, and in every family a place for the pooling of the first shortcut that averages."""
    route, state = source_named("openmmlab").route(name), ours(name)
    theirs: dict[str, Tensor] = {}
    for key, value in convert_back(state, route).items():
        for i in range(3):
            key = key.replace(f"backbone.stem.{i}.conv.", f"backbone.stem.{3 * i}@").replace(
                f"backbone.stem.{i}.bn.", f"backbone.stem.{3 * i + 1}@"
            )
        key = key.replace("@", ".")
        if name in ("resnet50_v1d", "resnest50"):
            key = key.replace("layer1.0.downsample.1.", "layer1.0.downsample.2.")
            key = key.replace("layer1.0.downsample.0.", "layer1.0.downsample.1.")
        if not (alone and key.startswith("head.")):
            theirs[key.removeprefix("backbone.") if alone else key] = value
    found = renamed(theirs, route)
    wanted = {k: v for k, v in state.items() if not (alone and k.startswith("head."))}
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())
    assert begins({f"backbone.{k}" if alone else k: v for k, v in theirs.items()}, "backbone.stem.") == MMSEG


def test_groups_of_another_network_are_refused() -> None:
    state = convert_back(ours("resnext101_32x4d"), source_named("timm").route("resnext101_32x4d"))
    with torch.device("meta"):
        other = create_model("resnext101_64x4d", num_classes=2)
    with pytest.raises(CheckpointError, match=r"layer1\.0\.conv2\.weight"):
        convert(state, other, source_named("timm"))
