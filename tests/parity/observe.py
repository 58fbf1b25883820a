"""What our models compute on the way, under the names of the golden files' entries and in their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from baimu.detection.rpn import propose
from tests.parity.golden import Golden

Entries = Iterator[tuple[str, Tensor]]
EXTRACTOR, MASK_EXTRACTOR = "eval/roi_head.bbox_roi_extractor", "eval/roi_head.mask_roi_extractor"


class Trace:
    """What named submodules take and give, in all their calls, while the block runs."""

    def __init__(self, model: nn.Module, *names: str) -> None:
        self.inputs: dict[str, list[Any]] = {name: [] for name in names}
        self.outputs: dict[str, list[Any]] = {name: [] for name in names}
        self._modules = {name: model.get_submodule(name) for name in names}

    def __enter__(self) -> Trace:
        self._hooks = [m.register_forward_hook(partial(self._note, name)) for name, m in self._modules.items()]
        return self

    def _note(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        del module
        self.inputs[name].append(inputs[0])
        self.outputs[name].append(output)

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def __getitem__(self, name: str) -> Any:
        """The output of the first call."""
        return self.outputs[name][0]


def as_map(rows: Tensor, like: Tensor) -> Tensor:
    """Rows (B, P) or (B, P, D) in the order (row, column, anchor) as the map (B, A * D, H, W) that a head gives."""
    batch, _, height, width = like.shape
    return rows.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def stages(golden: Golden) -> dict[str, str]:
    """The backbone's entries: key of the file, submodule of ours."""
    wanted = golden.meta["model_cfg"]["backbone"]["out_indices"]
    return {f"eval/backbone/{i}": f"backbone.layer{stage + 1}" for i, stage in enumerate(wanted)}


def head_maps(module: str, parts: Any, maps: list[Tensor]) -> Entries:
    """A dense head's parts, each a list of rows a level."""
    for part, levels in enumerate(parts):
        for level, (rows, like) in enumerate(zip(levels, maps, strict=True)):
            yield f"eval/{module}/{part}.{level}", as_map(rows, like)


def dense_outputs(model: Any, golden: Golden) -> Entries:
    """Backbone, pyramid, and each map of the head; what our outputs end with, priors, the files do not hold."""
    layers = stages(golden)
    with Trace(model, *layers.values(), "neck") as trace:
        *rows, _ = model(golden.images())
    yield from ((key, trace[name]) for key, name in layers.items())
    yield from ((f"eval/neck/{level}", x) for level, x in enumerate(trace["neck"]))
    yield from head_maps("bbox_head", rows, trace["neck"])


def first_stage_outputs(model: Any, golden: Golden) -> Entries:
    """Backbone, pyramid, first stage, and the proposals that train the second."""
    layers = stages(golden)
    with Trace(model, *layers.values()) as trace:
        maps, first = model.first_stage(golden.images())
    yield from ((key, trace[name]) for key, name in layers.items())
    yield from ((f"eval/neck/{level}", x) for level, x in enumerate(maps))
    yield from head_maps("rpn_head", (first.logits, first.deltas), maps)
    proposals = propose(first, golden.targets().sizes, model.train_proposals, model.rpn_iou_threshold)
    for i, (boxes, valid) in enumerate(zip(*proposals, strict=True)):
        yield f"train/proposals/{i}", boxes[valid]


def two_stage_outputs(model: Any, golden: Golden) -> Entries:
    """The first stage; proposals, and the box head on those that the file holds."""
    yield from first_stage_outputs(model, golden)
    maps, first = model.first_stage(golden.images())
    proposals = propose(first, golden.targets().sizes, model.test_proposals, model.rpn_iou_threshold)
    yield f"{EXTRACTOR}/rois", with_image(*proposals)
    boxes, valid = stored_rois(golden, f"{EXTRACTOR}/rois")
    pooled = model.pool_rois(maps, boxes)
    yield EXTRACTOR, pooled[valid]
    logits, deltas = model.head(pooled)
    yield "eval/roi_head.bbox_head/0", logits[valid]
    yield "eval/roi_head.bbox_head/1", deltas.flatten(2)[valid]


def mask_rcnn_outputs(model: Any, golden: Golden) -> Entries:
    """Both stages; the boxes of which masks are made, and the mask head on those that the file holds."""
    yield from two_stage_outputs(model, golden)
    found = model.detect(golden.images(), golden.targets().sizes)
    yield f"{MASK_EXTRACTOR}/rois", with_image(found.boxes, found.labels >= 0)
    maps, _ = model.first_stage(golden.images())
    boxes, valid = stored_rois(golden, f"{MASK_EXTRACTOR}/rois")
    pooled = model.pool_rois(maps, boxes, 14)[valid]
    yield MASK_EXTRACTOR, pooled
    yield "eval/roi_head.mask_head", model.mask_head(pooled)


def cascade_outputs(model: Any, golden: Golden) -> Entries:
    """The first stage; every later stage on the boxes that came to it. Mask heads all on the final boxes."""
    yield from first_stage_outputs(model, golden)
    heads = [f"head.{i}" for i in range(len(model.head))]
    with Trace(model, *heads) as trace:
        found = model.detect(golden.images(), golden.targets().sizes)
    for i, head in enumerate(heads):
        logits, deltas = trace[head]
        yield f"{EXTRACTOR}.{i}", trace.inputs[head][0].flatten(0, 1)
        yield f"eval/roi_head.bbox_head.{i}/0", logits.flatten(0, 1)
        yield f"eval/roi_head.bbox_head.{i}/1", deltas.flatten(2).flatten(0, 1)
    if not golden.meta["masks"]:
        return
    maps, _ = model.first_stage(golden.images())
    for i, head in enumerate(model.mask_head):
        key = f"{MASK_EXTRACTOR}.{i}"
        boxes, valid = found.boxes, found.labels >= 0
        if f"{key}/rois" in golden.arrays:
            yield f"{key}/rois", with_image(boxes, valid)
            boxes, valid = stored_rois(golden, f"{key}/rois")
        pooled = model.pool_rois(maps, boxes, 14)[valid]
        yield key, pooled
        yield f"eval/roi_head.mask_head.{i}", head(pooled)


def detr_outputs(model: Any, golden: Golden) -> Entries:
    """Every module's states; of the head, as the file, the last layer's."""
    layers = stages(golden)
    with Trace(model, *layers.values(), "project", "encoder", "decoder") as trace:
        outputs = model(golden.images(), golden.targets().sizes)
    yield from ((key, trace[name]) for key, name in layers.items())
    yield "eval/neck/0", trace["project"]
    yield "eval/encoder", trace["encoder"]
    yield "eval/decoder", torch.stack(trace["decoder"])
    yield "eval/bbox_head/0", outputs.logits[-1][None]
    yield "eval/bbox_head/1", outputs.boxes[-1][None]


def stored_rois(golden: Golden, key: str) -> tuple[Tensor, Tensor]:
    """RoIs (n, 5) of a file as boxes (B, R, 4) and which of them are real; those keep the file's order."""
    rois = torch.from_numpy(golden.arrays[key])
    per_image = [rois[rois[:, 0] == i, 1:] for i in range(golden.meta["image_shape"][0])]
    assert torch.equal(torch.cat(per_image), rois[:, 1:]), f"{key}: not in the order of images"
    boxes = nn.utils.rnn.pad_sequence(per_image, batch_first=True)
    return boxes, torch.arange(boxes.shape[1]) < torch.tensor([[len(x)] for x in per_image])


def with_image(boxes: Tensor, valid: Tensor) -> Tensor:
    """Padded boxes (B, R, 4) as rows (n, 5): image, x1, y1, x2, y2."""
    image = torch.arange(len(boxes))[:, None, None].expand(-1, boxes.shape[1], 1).to(boxes.dtype)
    return torch.cat([image, boxes], 2)[valid]
