"""Parts of mmdetection's configurations as those of our methods have them, and what they are as arguments of ours."""

from __future__ import annotations

from typing import Any

from baimu.sample.random import sample_all
from tests.parity.pattern import ANY, Lacking

Config = dict[str, Any]

CLS_FOCAL = {"type": "FocalLoss", "use_sigmoid": True, "alpha": 0.25, "gamma": 2.0, "loss_weight": 1.0}
CLS_SIGMOID = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}
CLS_SOFTMAX = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
L1 = {"type": "L1Loss", "loss_weight": 1.0}
NMS = {"type": "nms", "iou_threshold": ANY}
DENSE_TEST = {"nms_pre": ANY, "min_bbox_size": 0, "score_thr": ANY, "nms": NMS, "max_per_img": ANY}
UNUSED = {"data_preprocessor": ANY, "init_cfg": ANY}
"""Of the weights and of training; the golden files feed the network itself."""


def coder(*stds: float) -> Config:
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": list(stds)}


def assigner(positive: float, negative: float, least: float, **options: Any) -> Config:
    thresholds = {"pos_iou_thr": positive, "neg_iou_thr": negative, "min_pos_iou": least, "ignore_iof_thr": -1}
    return {"type": "MaxIoUAssigner", **thresholds, **options}


def training(assigner: Config, **options: Any) -> Config:
    return {"assigner": assigner, "allowed_border": -1, "pos_weight": -1, "debug": False, **options}


def every_sample(*, add_gt: bool) -> Config:
    """A random sampler whose quota the file has lifted: :func:`baimu.sample.random.sample_all`."""
    quota = {"num": 1_000_000, "pos_fraction": ANY, "neg_pos_ub": -1}
    return {"type": "RandomSampler", "add_gt_as_proposals": add_gt, **quota}


def resnet(config: Config) -> str:
    """The backbone as our names have it: ``r50``, ``x101_32x4d``."""
    backbone = config["backbone"]
    kind, depth = backbone["type"], backbone.get("depth")
    if kind == "ResNeXt":
        return f"x{depth}_{backbone['groups']}x{backbone['base_width']}d"
    if kind != "ResNet":
        raise Lacking(f"backbone.type = {kind}")
    return f"r{depth}"


def style(config: Config, ours: str = "pytorch") -> Config:
    """Our argument for a backbone whose bottlenecks halve the map elsewhere than the method's do."""
    found = config["backbone"].get("style", "pytorch")
    return {} if found == ours else {"stride_in_3x3": found == "pytorch"}


RESNET = {
    "type": frozenset({"ResNet", "ResNeXt"}),
    "depth": ANY,
    "groups": ANY,
    "base_width": ANY,
    "num_stages": 4,
    "out_indices": ANY,
    "style": ANY,
    "norm_cfg": {"type": frozenset({"BN", "SyncBN"}), "requires_grad": ANY},
    "norm_eval": ANY,  # the files keep the statistics of all norms
    "frozen_stages": ANY,
    "init_cfg": ANY,
}
"""The plain networks; frozen or not is for training."""


def fpn_pattern(**options: Any) -> Config:
    return {"type": "FPN", "in_channels": ANY, "out_channels": 256, "num_outs": 5, **options}


def dense_limits(test: Config) -> Config:
    """Arguments of our dense detectors for a ``test_cfg``."""
    thresholds = {"score_threshold": test["score_thr"], "iou_threshold": test["nms"]["iou_threshold"]}
    return {"candidates": test["nms_pre"], "max_detections": test["max_per_img"], **thresholds}


def rpn_pattern(loss_bbox: Config) -> Config:
    """The first stage on P2–P6."""
    anchors = {"type": "AnchorGenerator", "scales": [8], "ratios": [0.5, 1.0, 2.0], "strides": [4, 8, 16, 32, 64]}
    return {
        "type": "RPNHead",
        "in_channels": 256,
        "feat_channels": 256,
        "anchor_generator": anchors,
        "bbox_coder": coder(1.0, 1.0, 1.0, 1.0),
        "loss_cls": CLS_SIGMOID,
        "loss_bbox": loss_bbox,
    }


def rpn_training() -> Config:
    return training(assigner(0.7, 0.3, 0.3, match_low_quality=True), sampler=every_sample(add_gt=False))


def roi_align_pattern(size: int) -> Config:
    layer = {"type": "RoIAlign", "output_size": size, "sampling_ratio": 0}
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": layer,
        "out_channels": 256,
        "featmap_strides": [4, 8, 16, 32],
    }


def box_head_pattern(stds: tuple[float, ...], loss_bbox: Config, *, one_box: bool = False) -> Config:
    """Two fully connected layers, then class scores and a box, one a class or one for all."""
    return {
        "type": "Shared2FCBBoxHead",
        "in_channels": 256,
        "fc_out_channels": 1024,
        "roi_feat_size": 7,
        "num_classes": ANY,
        "bbox_coder": coder(*stds),
        "reg_class_agnostic": one_box,
        "loss_cls": CLS_SOFTMAX,
        "loss_bbox": loss_bbox,
    }


def two_stage_test(**options: Any) -> Config:
    rpn = {"nms_pre": ANY, "max_per_img": ANY, "nms": NMS | {"iou_threshold": 0.7}, "min_bbox_size": 0}
    rcnn = {"score_thr": 0.05, "nms": NMS | {"iou_threshold": 0.5}, "max_per_img": ANY}
    return {"rpn": rpn, "rcnn": rcnn | options}


def two_stage_limits(config: Config) -> Config:
    """Arguments of our two-stage detectors for a ``train_cfg`` and a ``test_cfg``, with samplers that keep all."""
    train, test = config["train_cfg"]["rpn_proposal"], config["test_cfg"]["rpn"]
    return {
        "rpn_sampler": sample_all,
        "roi_sampler": sample_all,
        "train_proposals": (train["nms_pre"], train["max_per_img"]),
        "test_proposals": (test["nms_pre"], test["max_per_img"]),
        "max_detections": config["test_cfg"]["rcnn"]["max_per_img"],
    }


def two_stage_pattern(kind: str, heads: Config, rcnn: Any, loss_bbox: Config, **test: Any) -> Config:
    """What detectors of two stages share, around the ``heads`` of the second and what they are trained on."""
    border = -1 if kind != "CascadeRCNN" else 0
    return {
        "type": kind,
        "backbone": RESNET,
        "neck": fpn_pattern(),
        "rpn_head": rpn_pattern(loss_bbox),
        "roi_head": {"bbox_roi_extractor": roi_align_pattern(7), **heads, "train_cfg": ANY, "test_cfg": ANY},
        "train_cfg": {
            "rpn": rpn_training() | {"allowed_border": border},
            "rpn_proposal": two_stage_test()["rpn"],
            "rcnn": rcnn,
        },
        "test_cfg": two_stage_test(**test),
        **UNUSED,
    }


def second_stage(iou: float, *, low_quality: bool = False, **options: Any) -> Config:
    """What a box head is trained on."""
    chosen = assigner(iou, iou, iou, match_low_quality=low_quality)
    return {"assigner": chosen, "sampler": every_sample(add_gt=True), "pos_weight": -1, "debug": False, **options}


MASKS = {
    "mask_roi_extractor": roi_align_pattern(14),
    "mask_head": {
        "type": "FCNMaskHead",
        "num_convs": 4,
        "in_channels": 256,
        "conv_out_channels": 256,
        "num_classes": ANY,
        "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
    },
}
