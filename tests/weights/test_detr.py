"""Meta's names of DETR, as torch's own transformer and torchvision's backbone give them, become ours and come back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from baimu.weights import openmmlab
from baimu.weights.detr import DETR
from baimu.weights.keys import convert, convert_back, rename, renamed
from baimu.weights.recognise import recognise
from baimu.weights.stored import Stored
from baimu.zoo import create_model


def published(classes: int = 91, depth: int = 50) -> dict[str, Tensor]:
    """Names and shapes of ``detr-r50-e632da11.pth``, whose norms are frozen and count nothing; no numbers."""
    with torch.device("meta"):
        encoder = nn.TransformerEncoderLayer(256, 8, 2048)
        decoder = nn.TransformerDecoderLayer(256, 8, 2048)
        parts = {
            "transformer.encoder": nn.TransformerEncoder(encoder, 6, enable_nested_tensor=False),
            "transformer.decoder": nn.TransformerDecoder(decoder, 6, nn.LayerNorm(256)),
            "class_embed": nn.Linear(256, classes + 1),
            "bbox_embed": nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(256, n) for n in (256, 256, 4))}),
            "query_embed": nn.Embedding(100, 256),
            "input_proj": nn.Conv2d(2048, 256, 1),
            "backbone.0.body": getattr(torchvision.models, f"resnet{depth}")(weights=None),
        }
    state = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked") and ".fc." not in k}


def test_every_name_is_met_on_both_sides_and_comes_back() -> None:
    theirs = published()
    with torch.device("meta"):
        model = create_model("detr_r50", num_classes=91)
    ours = convert(theirs, model, DETR)
    assert ours["head.classify.weight"].shape == (92, 256)
    assert ours["head.regress.bias"].shape == (4,)
    assert sorted(ours) == sorted(k for k in model.state_dict() if not k.endswith("num_batches_tracked"))
    assert sorted(convert_back(ours, DETR)) == sorted(theirs)


@pytest.mark.parametrize("depth", [50, 101])
def test_a_file_of_theirs_is_known(depth: int) -> None:
    found = recognise(Stored(published(depth=depth), {}, "torch", Path("detr.pth")))
    assert (found.origin, found.name) == ("detr", f"detr_r{depth}")
    assert found.arguments["num_classes"] == 91
    assert f"detr_r{depth}_dc5" in found.also, "which has the same shapes"


def test_names_of_mmdetection_2_are_read_as_those_of_3() -> None:
    route = openmmlab.DETR
    pairs = {
        "bbox_head.input_proj.weight": "project.weight",
        "bbox_head.query_embedding.weight": "queries",
        "bbox_head.fc_cls.bias": "head.classify.bias",
        "bbox_head.reg_ffn.layers.0.0.weight": "head.box_tower.0.weight",
        "bbox_head.reg_ffn.layers.1.weight": "head.box_tower.2.weight",
        "bbox_head.fc_reg.weight": "head.regress.weight",
        "bbox_head.transformer.encoder.layers.3.attentions.0.attn.in_proj_weight": (
            "encoder.layers.3.attention.in_proj_weight"
        ),
        "bbox_head.transformer.encoder.layers.3.ffns.0.layers.0.0.bias": "encoder.layers.3.feedforward.up.bias",
        "bbox_head.transformer.decoder.layers.5.attentions.1.attn.out_proj.bias": (
            "decoder.layers.5.cross_attention.out_proj.bias"
        ),
        "bbox_head.transformer.decoder.layers.5.ffns.0.layers.1.weight": "decoder.layers.5.feedforward.down.weight",
        "bbox_head.transformer.decoder.layers.5.norms.2.weight": "decoder.layers.5.norm3.weight",
        "bbox_head.transformer.decoder.post_norm.weight": "decoder.norm.weight",
    }
    found = renamed({key: torch.zeros(0) for key in pairs}, route)
    assert list(found) == list(pairs.values())
    first = {  # its first version
        "bbox_head.transformer.decoder.layers.0.self_attn.attn.in_proj_bias": "decoder.layers.0.attention.in_proj_bias",
        "bbox_head.transformer.decoder.layers.0.multihead_attn.attn.in_proj_bias": (
            "decoder.layers.0.cross_attention.in_proj_bias"
        ),
        "bbox_head.transformer.decoder.layers.0.ffn.layers.1.bias": "decoder.layers.0.feedforward.down.bias",
        "bbox_head.transformer.decoder.norm.bias": "decoder.norm.bias",
    }
    for key, ours in first.items():
        assert rename(rename(key, route.older), route.table) == ours
