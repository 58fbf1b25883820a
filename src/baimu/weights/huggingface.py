"""Parameters of Hugging Face's transformers: its classifiers, and DETR."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from baimu.preprocess import imagenet
from baimu.weights.families import routes
from baimu.weights.families.resnet import huggingface
from baimu.weights.keys import COUNTERS, Facts, Route, Source, State

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

_PROJECTION = re.compile(r"\.(q|k|v)_proj\.(weight|bias)$")
_JOINED = re.compile(r"\.in_proj_(weight|bias)$")


def join_projections(state: State) -> State:
    """Queries', keys' and values' projections are three layers there, and one parameter here, in this order."""
    joined = {key: value for key, value in state.items() if not _PROJECTION.search(key)}
    for key in state:
        found = _PROJECTION.search(key)
        if found and found[1] == "q":
            parts = [state.get(f"{key[: found.start()]}.{part}_proj.{found[2]}") for part in "qkv"]
            joined[f"{key[: found.start()]}.in_proj_{found[2]}"] = torch.cat([p for p in parts if p is not None])
    return joined


def part_projections(state: State) -> State:
    """The inverse of :func:`join_projections`."""
    parted = {key: value for key, value in state.items() if not _JOINED.search(key)}
    for key in state.keys() - parted.keys():
        stem, _, kind = key.rpartition(".in_proj_")
        parted |= {f"{stem}.{part}_proj.{kind}": x for part, x in zip("qkv", state[key].chunk(3), strict=True)}
    return parted


DETR = Route(
    models=r"detr_.*",
    table=(
        (r"^model\.backbone\.model\.", "backbone."),
        (r"^model\.input_projection\.", "project."),
        (r"^model\.query_position_embeddings\.weight$", "queries"),
        (r"^class_labels_classifier\.", "head.classify."),
        (r"^bbox_predictor\.layers\.0\.", "head.box_tower.0."),
        (r"^bbox_predictor\.layers\.1\.", "head.box_tower.2."),
        (r"^bbox_predictor\.layers\.2\.", "head.regress."),
        (r"^model\.decoder\.layernorm\.", "model.decoder.norm."),
        (r"^model\.encoder\.layers\.(\d+)\.final_layer_norm\.", r"model.encoder.layers.\1.norm2."),
        (r"^model\.decoder\.layers\.(\d+)\.final_layer_norm\.", r"model.decoder.layers.\1.norm3."),
        (r"\.self_attn_layer_norm\.", ".norm1."),
        (r"^model\.decoder\.layers\.(\d+)\.encoder_attn_layer_norm\.", r"model.decoder.layers.\1.norm2."),
        (r"\.o_proj\.", ".out_proj."),
        (r"\.self_attn\.", ".attention."),
        (r"\.encoder_attn\.", ".cross_attention."),
        (r"\.mlp\.fc1\.", ".feedforward.up."),
        (r"\.mlp\.fc2\.", ".feedforward.down."),
        (r"^model\.(encoder|decoder)\.", r"\1."),
    ),
    to_ours=join_projections,
    to_theirs=part_projections,
    may_miss=(COUNTERS,),
    older=(
        (r"^model\.backbone\.conv_encoder\.model\.", "model.backbone.model."),
        (r"\.out_proj\.", ".o_proj."),
        (r"(\.layers\.\d+)\.fc(1|2)\.", r"\1.mlp.fc\2."),
        (r"^model\.backbone\.model\.(embedder|encoder)\.", r"resnet.\1."),
        *huggingface(""),
        (r"^(conv1|bn1|layer\d)\.", r"model.backbone.model.\1."),
    ),
)
"""In the names of timm's ResNet, which the published files have; those of its own are read as ``older``."""


def describe(stored: Stored) -> Facts:
    """Strides in the 3x3, as all of its ResNets; DETR normalises as ImageNet, and masks padding of any size."""
    detr = any(key.startswith("class_labels_classifier.") for key in stored.tensors)
    return Facts(preprocess=imagenet.replace(pad_to=1) if detr else None, arguments={"stride_in_3x3": True})


SOURCE = Source(
    name="huggingface",
    routes=(*routes("huggingface"), DETR),
    describe=describe,
)
