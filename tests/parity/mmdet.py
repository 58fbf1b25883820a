"""mmdetection's configurations as models of the catalogue: a reader a kind of network.

A reader says which name and arguments a configuration amounts to and which configuration those stand for; what the two
do not share makes the file one of a model that we lack. ``limits`` are of the file, not of the method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from baimu.losses.boxes import giou_loss, iou_loss
from tests.parity.golden import Golden
from tests.parity.mmdet_parts import (
    CLS_FOCAL,
    CLS_SIGMOID,
    CLS_SOFTMAX,
    DENSE_TEST,
    L1,
    MASKS,
    RESNET,
    UNUSED,
    Config,
    assigner,
    box_head_pattern,
    coder,
    dense_limits,
    fpn_pattern,
    resnet,
    second_stage,
    style,
    training,
    two_stage_limits,
    two_stage_pattern,
)
from tests.parity.observe import cascade_outputs, dense_outputs, detr_outputs, mask_rcnn_outputs, two_stage_outputs
from tests.parity.pattern import ANY, Lacking, expect

Observe = Callable[[nn.Module, Golden], Iterator[tuple[str, Tensor]]]


@dataclass(frozen=True)
class Reading:
    """What a configuration is here: ``create_model(name, **arguments, **limits)``, and how to look into it."""

    name: str
    observe: Observe  # (key of the file, our tensor) of every ``eval/…`` and ``train/…`` entry
    arguments: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)


def retinanet(config: Config) -> Reading:
    """Of its options only P7's missing ReLU, which is mmdetection's."""
    anchors = {"type": "AnchorGenerator", "octave_base_scale": 4, "scales_per_octave": 3, "ratios": [0.5, 1.0, 2.0]}
    sizes = {"num_classes": ANY, "in_channels": 256, "feat_channels": 256, "stacked_convs": 4}
    head = {
        "type": "RetinaHead",
        "anchor_generator": anchors | {"strides": [8, 16, 32, 64, 128]},
        "bbox_coder": coder(1.0, 1.0, 1.0, 1.0),
        "loss_cls": CLS_FOCAL,
        "loss_bbox": L1,
        **sizes,
        "train_cfg": ANY,
        "test_cfg": ANY,
    }
    pattern = {
        "type": "RetinaNet",
        "backbone": RESNET,
        "neck": fpn_pattern(start_level=1, add_extra_convs="on_input"),
        "bbox_head": head,
        "train_cfg": training(assigner(0.5, 0.4, 0), sampler={"type": "PseudoSampler"}),
        "test_cfg": DENSE_TEST,
        **UNUSED,
    }
    expect(config, pattern)
    limits = dense_limits(config["test_cfg"])
    return Reading(f"retinanet_{resnet(config)}_fpn", dense_outputs, {"p7_relu": False, **style(config)}, limits)


def fcos(config: Config) -> Reading:
    """The paper's, or all of its later improvements; centre sampling and the box loss go with either."""
    head = config["bbox_head"]
    improvements = {"norm_on_bbox": True, "centerness_on_reg": True, "conv_bias": True}
    improved = all(head.get(key) == value for key, value in improvements.items())
    sizes = {"num_classes": ANY, "in_channels": 256, "feat_channels": 256, "stacked_convs": 4}
    pattern = {
        "type": "FCOS",
        "backbone": RESNET,
        "neck": fpn_pattern(start_level=1, add_extra_convs="on_output", relu_before_extra_convs=True),
        "bbox_head": {
            "type": "FCOSHead",
            "strides": [8, 16, 32, 64, 128],
            "center_sampling": ANY,
            "center_sample_radius": ANY,
            "dcn_on_last_conv": False,
            "loss_cls": CLS_FOCAL,
            "loss_bbox": {"type": ANY, "loss_weight": 1.0},
            "loss_centerness": CLS_SIGMOID,
            **sizes,
            **(improvements if improved else {}),
            "train_cfg": None,
            "test_cfg": ANY,
        },
        "test_cfg": DENSE_TEST,
        **UNUSED,
    }
    expect(config, pattern)
    losses = {"IoULoss": iou_loss, "GIoULoss": giou_loss}
    loss = head["loss_bbox"]["type"]
    if loss not in losses:
        raise Lacking(f"bbox_head.loss_bbox.type = {loss}")
    radius = head.get("center_sample_radius", 1.5) if head.get("center_sampling") else None
    own = (1.5, "GIoULoss") if improved else (None, "IoULoss")
    arguments = style(config, "caffe")
    arguments |= {"center_radius": radius} if radius != own[0] else {}
    arguments |= {"box_loss": losses[loss]} if loss != own[1] else {}
    name = f"fcos_{'center_' if improved else ''}{resnet(config)}_fpn"
    return Reading(name, dense_outputs, arguments, dense_limits(config["test_cfg"]))


def faster_rcnn(config: Config) -> Reading:
    """All of it as in our file; other heads, losses and extractors are other methods."""
    heads = {"type": "StandardRoIHead", "bbox_head": box_head_pattern((0.1, 0.1, 0.2, 0.2), L1)}
    expect(config, two_stage_pattern("FasterRCNN", heads, second_stage(0.5), L1))
    return Reading(f"faster_rcnn_{resnet(config)}_fpn", two_stage_outputs, style(config), two_stage_limits(config))


def mask_rcnn(config: Config) -> Reading:
    """Faster R-CNN's, a mask head, and low-quality matches in the second stage too."""
    heads = {"type": "StandardRoIHead", "bbox_head": box_head_pattern((0.1, 0.1, 0.2, 0.2), L1), **MASKS}
    rcnn = second_stage(0.5, low_quality=True, mask_size=28)
    expect(config, two_stage_pattern("MaskRCNN", heads, rcnn, L1, mask_thr_binary=0.5))
    return Reading(f"mask_rcnn_{resnet(config)}_fpn", mask_rcnn_outputs, style(config), two_stage_limits(config))


def cascade_rcnn(config: Config) -> Reading:
    """Three box heads in a row, with or without mask heads."""
    masks = "mask_head" in config["roi_head"]
    smooth = L1 | {"type": "SmoothL1Loss", "beta": 1.0}
    stds = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
    heads = {
        "type": "CascadeRoIHead",
        "num_stages": 3,
        "stage_loss_weights": [1, 0.5, 0.25],
        "bbox_head": [box_head_pattern(s, smooth, one_box=True) for s in stds],
        **(MASKS if masks else {}),
    }
    size: Config = {"mask_size": 28} if masks else {}
    rcnn = [second_stage(iou, **size) for iou in (0.5, 0.6, 0.7)]
    test = {"mask_thr_binary": 0.5} if masks else {}
    expect(config, two_stage_pattern("CascadeRCNN", heads, rcnn, smooth | {"beta": 1 / 9}, **test))
    name = f"cascade_{'mask_' if masks else ''}rcnn_{resnet(config)}_fpn"
    return Reading(name, cascade_outputs, style(config), two_stage_limits(config))


def detr(config: Config) -> Reading:
    """The paper's, whatever its number of queries."""
    attention = {"embed_dims": 256, "num_heads": 8, "dropout": ANY, "batch_first": True}
    hidden = {"type": ANY, "embed_dims": 256, "feedforward_channels": 2048, "num_fcs": 2, "ffn_drop": ANY}
    ffn = hidden | {"act_cfg": {"type": "ReLU", "inplace": ANY}}
    costs = [
        {"type": "ClassificationCost", "weight": 1.0},
        {"type": "BBoxL1Cost", "weight": 5.0, "box_format": "xywh"},
        {"type": "IoUCost", "iou_mode": "giou", "weight": 2.0},
    ]
    neck = {"kernel_size": 1, "out_channels": 256, "act_cfg": None, "norm_cfg": None, "num_outs": 1}
    layer = {"self_attn_cfg": attention, "ffn_cfg": ffn}
    pattern = {
        "type": "DETR",
        "num_queries": ANY,
        "backbone": RESNET | {"out_indices": [3]},
        "neck": {"type": "ChannelMapper", "in_channels": ANY, **neck},
        "encoder": {"num_layers": 6, "layer_cfg": layer},
        "decoder": {
            "num_layers": 6,
            "return_intermediate": True,
            "layer_cfg": layer | {"cross_attn_cfg": attention},
        },
        "positional_encoding": {"num_feats": 128, "normalize": True},
        "bbox_head": {
            "type": "DETRHead",
            "num_classes": ANY,
            "embed_dims": 256,
            "loss_cls": CLS_SOFTMAX | {"class_weight": ANY, "bg_cls_weight": 0.1},
            "loss_bbox": L1 | {"loss_weight": 5.0},
            "loss_iou": {"type": "GIoULoss", "loss_weight": 2.0},
            "train_cfg": ANY,
            "test_cfg": ANY,
        },
        "train_cfg": {"assigner": {"type": "HungarianAssigner", "match_costs": costs}},
        "test_cfg": {"max_per_img": ANY},
        **UNUSED,
    }
    expect(config, pattern)
    queries = {} if config["num_queries"] == 100 else {"queries": config["num_queries"]}
    limits = {"max_detections": config["test_cfg"]["max_per_img"]}
    return Reading(f"detr_{resnet(config)}", detr_outputs, queries | style(config), limits)


KINDS: dict[str, Callable[[Config], Reading]] = {
    "RetinaNet": retinanet,
    "FCOS": fcos,
    "FasterRCNN": faster_rcnn,
    "MaskRCNN": mask_rcnn,
    "CascadeRCNN": cascade_rcnn,
    "DETR": detr,
}
"""Their class, our reader."""


def read(meta: dict[str, Any]) -> Reading:
    """The model of a file's header; raises :class:`~tests.parity.pattern.Lacking`."""
    kind = meta["model_cfg"]["type"]
    if kind not in KINDS:
        raise Lacking(f"type = {kind}")
    return KINDS[kind](meta["model_cfg"])
