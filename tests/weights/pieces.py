"""State dicts of other libraries for the tests of conversion: named numbers instead of trained ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Size, Tensor, nn

from baimu.weights.stored import Stored


def numbered(shapes: Mapping[str, Size | list[int]]) -> dict[str, Tensor]:
    """Tensors of these shapes whose every element is their own number; they take no memory."""
    return {key: torch.tensor(float(i)).expand(list(shape)) for i, (key, shape) in enumerate(shapes.items())}


def stored(tensors: Mapping[str, Tensor], about: dict | None = None) -> Stored:
    return Stored(dict(tensors), about or {}, "torch", Path("theirs.pth"))


def spread(net: nn.Module, ends: Iterable[str] = ()) -> nn.Module:
    """A network whose norms have seen data and whose layers named so answer differently from place to place."""
    random = torch.Generator().manual_seed(1)
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(1 + 0.1 * torch.rand(value.shape, generator=random))
        elif name.endswith("running_mean"):
            value.copy_(0.1 * torch.randn(value.shape, generator=random))
        elif name.endswith("num_batches_tracked"):
            value.fill_(7)
    for name, layer in net.named_modules():
        if name.endswith(tuple(ends)):
            nn.init.normal_(layer.weight, std=0.02, generator=random)
            nn.init.uniform_(layer.bias, -2.5, -1.0, generator=random)
    return net.eval()


def detectron2_names(depths: tuple[int, ...], *, masks: bool = False, dense: bool = False, classes: int = 3) -> dict:
    """Shapes of detectron2's R50-like Faster R-CNN or RetinaNet, written down from its published model code."""
    shapes: dict[str, list[int]] = {}

    def conv(name: str, out: int, inputs: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = [out, inputs, kernel, kernel]

    def normed(name: str, out: int, inputs: int, kernel: int) -> None:
        conv(name, out, inputs, kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.norm.{part}"] = [out]

    def biased(name: str, out: int, inputs: int, kernel: int | None = None) -> None:
        shapes[f"{name}.weight"] = [out, inputs] + ([kernel, kernel] if kernel else [])
        shapes[f"{name}.bias"] = [out]

    body = "backbone.bottom_up"
    normed(f"{body}.stem.conv1", 64, 3, 7)
    inputs = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for block in range(depth):
            name = f"{body}.res{stage + 2}.{block}"
            if block == 0:
                normed(f"{name}.shortcut", width * 4, inputs, 1)
            normed(f"{name}.conv1", width, inputs, 1)
            normed(f"{name}.conv2", width, width, 3)
            normed(f"{name}.conv3", width * 4, width, 1)
            inputs = width * 4
    for level in range(3 if dense else 2, 6):
        biased(f"backbone.fpn_lateral{level}", 256, 64 * 2**level, 1)
        biased(f"backbone.fpn_output{level}", 256, 256, 3)
    if dense:
        biased("backbone.top_block.p6", 256, 2048, 3)
        biased("backbone.top_block.p7", 256, 256, 3)
        for tower in ("cls_subnet", "bbox_subnet"):
            for i in (0, 2, 4, 6):
                biased(f"head.{tower}.{i}", 256, 256, 3)
        biased("head.cls_score", 9 * classes, 256, 3)
        biased("head.bbox_pred", 9 * 4, 256, 3)
        return shapes
    biased("proposal_generator.rpn_head.conv", 256, 256, 3)
    biased("proposal_generator.rpn_head.objectness_logits", 3, 256, 1)
    biased("proposal_generator.rpn_head.anchor_deltas", 12, 256, 1)
    biased("roi_heads.box_head.fc1", 1024, 256 * 49)
    biased("roi_heads.box_head.fc2", 1024, 1024)
    biased("roi_heads.box_predictor.cls_score", classes + 1, 1024)
    biased("roi_heads.box_predictor.bbox_pred", classes * 4, 1024)
    if masks:
        for i in range(1, 5):
            biased(f"roi_heads.mask_head.mask_fcn{i}", 256, 256, 3)
        biased("roi_heads.mask_head.deconv", 256, 256, 2)
        biased("roi_heads.mask_head.predictor", classes, 256, 1)
    return shapes
