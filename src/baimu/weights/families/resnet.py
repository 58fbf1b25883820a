"""ResNet and ResNeXt: torchvision and timm have the same names, OpenMMLab those with ``backbone.`` before them."""

from __future__ import annotations

import torch

from baimu.weights.keys import COUNTERS, KeyTable, Route, State

NAMES = r"(resnet|resnext|wide_resnet)\d+(_2|_\d+x\d+d)?"
RESNET = Route(
    models=NAMES,
    table=((r"^fc\.", "head.linear."), (r"^(conv1|bn1|layer\d)\.", r"backbone.\1.")),
    may_miss=(COUNTERS,),
)
OPENMMLAB = Route(
    models=NAMES,
    table=((r"^head\.fc\.", "head.linear."),),
    may_miss=(COUNTERS,),
    older=((r"^(conv1|bn1|layer\d)\.", r"backbone.\1."),),  # a file of the backbone alone
)


def huggingface(prefix: str) -> KeyTable:
    """Hugging Face's names to torchvision's, with ``prefix`` before them."""
    return (
        (r"^resnet\.embedder\.embedder\.convolution\.", f"{prefix}conv1."),
        (r"^resnet\.embedder\.embedder\.normalization\.", f"{prefix}bn1."),
        *((rf"^resnet\.encoder\.stages\.{i}\.layers\.", f"{prefix}layer{i + 1}.") for i in range(4)),
        (r"\.shortcut\.convolution\.", ".downsample.0."),
        (r"\.shortcut\.normalization\.", ".downsample.1."),
        *((rf"\.layer\.{i}\.convolution\.", f".conv{i + 1}.") for i in range(3)),
        *((rf"\.layer\.{i}\.normalization\.", f".bn{i + 1}.") for i in range(3)),
    )


HUGGINGFACE = Route(
    models=r"resnet\d+",
    table=((r"^classifier\.1\.", "head.linear."), *huggingface("backbone.")),
    may_miss=(COUNTERS,),
    older=((r"^(embedder|encoder)\.", r"resnet.\1."),),  # of the model without its classifier
)


def with_statistics(state: State) -> State:
    """Where Caffe's norms hold scale and shift only, statistics that change nothing."""
    bare = [key.removesuffix("weight") for key in state if key.endswith(".norm.weight")]
    bare = [key for key in bare if f"{key}running_mean" not in state]
    means = {f"{key}running_mean": torch.zeros_like(state[f"{key}weight"]) for key in bare}
    variances = {f"{key}running_var": torch.ones_like(state[f"{key}weight"]) - 1e-5 for key in bare}
    return state | means | variances


DETECTRON2 = Route(
    models=r"(resnet|resnext)\d+(_\d+x\d+d)?",
    table=(
        (r"^stem\.fc\.", "head.linear."),
        (r"^stem\.conv1\.norm\.", "backbone.bn1."),
        (r"^stem\.conv1\.", "backbone.conv1."),
        *((rf"^res{i + 1}\.", f"backbone.layer{i}.") for i in range(1, 5)),
        (r"\.shortcut\.norm\.", ".downsample.1."),
        (r"\.shortcut\.", ".downsample.0."),
        (r"\.conv(\d)\.norm\.", r".bn\1."),
    ),
    to_ours=with_statistics,
    may_miss=(COUNTERS,),
    drop=(r"_momentum$", r"^(stem\.)?conv1(_b|\.bias)$", r"^(lr|model_iter)$"),  # what solvers keep; norms have a shift
    older=(
        (r"^res_conv1_bn_", "conv1_bn_"),
        (r"^conv1_", "stem.conv1_"),
        (r"^(fc1000|pred)_", "stem.fc_"),
        (r"^(fc1000|linear)\.", "stem.fc."),
        (r"^res(\d)_(\d+)_branch1_", r"res\1.\2.shortcut_"),
        *((rf"^res(\d)_(\d+)_branch2{part}_", rf"res\1.\2.conv{i}_") for i, part in enumerate("abc", start=1)),
        (r"_bn_(s|gamma)$", ".norm.weight"),
        (r"_bn_(b|beta|bias)$", ".norm.bias"),
        (r"_bn_(rm|running_mean)$", ".norm.running_mean"),
        (r"_bn_(riv|running_var)$", ".norm.running_var"),
        (r"_w$", ".weight"),
        (r"_b$", ".bias"),
    ),
)
"""Of the ImageNet pickles that its configurations start from; ``older`` are Caffe2's names, which the first have."""

ROUTES = {
    "torchvision": (RESNET,),
    "timm": (RESNET,),
    "openmmlab": (OPENMMLAB,),
    "huggingface": (HUGGINGFACE,),
    "detectron2": (DETECTRON2,),
}
