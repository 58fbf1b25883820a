"""ResNets and DETR of Hugging Face's transformers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from baimu import zoo
from baimu.weights.huggingface import SOURCE
from baimu.weights.keys import load_converted
from tests.parity.observe import Trace
from tests.parity.peers.filled import fill

RESNETS = {18: ("basic", [2, 2, 2, 2]), 34: ("basic", [3, 4, 6, 3])} | {
    depth: ("bottleneck", [3, *middle, 3]) for depth, middle in {50: (4, 6), 101: (4, 23), 152: (8, 36)}.items()
}
"""Of a depth, its kind of block and their numbers: the published configurations."""
SIZES = ((128, 160), (170, 109))
VALID = ((128, 160), (100, 109))
"""(height, width) of the two images inside the batch; the rest is padding."""
CLASSES, QUERIES = 5, 12
FACTORS = {"query_position_embeddings.weight": 16.0, "q_proj.weight": 3.0, "k_proj.weight": 3.0}
"""Of weights, so that queries answer differently."""


def config(depth: int) -> transformers.ResNetConfig:
    kind, depths = RESNETS[depth]
    channels = [64, 128, 256, 512] if kind == "basic" else [256, 512, 1024, 2048]
    return transformers.ResNetConfig(layer_type=kind, depths=depths, hidden_sizes=channels, out_features=["stage4"])


def classifier(name: str, **options: Any) -> nn.Module:
    """A ResNet by the depth in its name; a checkpoint would say how many classes it has."""
    configuration = config(int(name.rpartition("-")[2]))
    configuration.num_labels = 1000
    return transformers.ResNetForImageClassification(configuration, **options)


def detector(name: str) -> str | None:
    """DETR on the backbones whose configuration is published, without dilation."""
    found = re.fullmatch(r"detr_r(\d+)", name)
    return f"detr-resnet-{found[1]}" if found and int(found[1]) in RESNETS else None


@torch.no_grad()
def compare(name: str, theirs: str) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The backbone's map, the encoder's memory, and the last decoder layer's logits and boxes, with padding.

    Not those of the other layers: with ``auxiliary_loss`` transformers (5.23) gives each layer the normalised states of
    the one before, which is another network.
    """
    options = {"num_queries": QUERIES, "num_labels": CLASSES, "attn_implementation": "eager"}
    depth = int(theirs.rpartition("-")[2])
    peer = transformers.DetrForObjectDetection(transformers.DetrConfig(backbone_config=config(depth), **options))
    fill(peer, FACTORS)
    ours = zoo.create_model(name, num_classes=CLASSES, queries=QUERIES).eval()
    load_converted(ours, peer.state_dict(), SOURCE.route(name))
    for size in SIZES:
        images, valid = torch.randn(2, 3, *size), torch.tensor(VALID).clamp(max=torch.tensor(size))
        mask = torch.zeros(2, *size, dtype=torch.int64)
        for row, (height, width) in zip(mask, valid.tolist(), strict=True):
            row[:height, :width] = 1
        with Trace(ours, "backbone", "encoder") as trace:
            found = ours(images, valid)
        with Trace(peer, "model.backbone") as their_trace:
            expected = peer(images, mask)
        yield "features", trace["backbone"][0], their_trace["model.backbone"][-1][0]
        yield "features", trace["encoder"], expected.encoder_last_hidden_state
        yield "outputs", found.logits[-1], expected.logits
        yield "outputs", found.boxes[-1], expected.pred_boxes
