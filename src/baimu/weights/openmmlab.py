"""Parameters of OpenMMLab: mmdetection 2 and 3, mmpretrain, and backbones of mmsegmentation."""

from __future__ import annotations

from dataclasses import replace

from baimu.weights.config_text import facts_of, wrapped
from baimu.weights.families import routes
from baimu.weights.keys import KeyTable, Route, Source

FPN: KeyTable = (
    (r"^neck\.lateral_convs\.", "neck.lateral."),
    (r"^neck\.fpn_convs\.", "neck.output."),
    (r"^neck\.(lateral|output|coarse)\.(\d+)\.bn\.", r"neck.\1.\2.norm."),
)
FPN_FROM_C3: KeyTable = (
    (r"^neck\.fpn_convs\.3\.", "neck.coarse.0."),
    (r"^neck\.fpn_convs\.4\.", "neck.coarse.1."),
    *FPN,
)
"""Extra levels continue the index of ``fpn_convs``, which starts at C3 here."""
TOWERS: KeyTable = (
    (r"^bbox_head\.cls_convs\.", "head.class_tower."),
    (r"^bbox_head\.reg_convs\.", "head.box_tower."),
    (r"^head\.(class|box)_tower\.(\d+)\.gn\.", r"head.\1_tower.\2.norm."),
)
RPN: KeyTable = (
    (r"^rpn_head\.rpn_conv\.", "rpn.conv.conv."),
    (r"^rpn_head\.rpn_cls\.", "rpn.objectness."),
    (r"^rpn_head\.rpn_reg\.", "rpn.regress."),
)
BOX_HEAD: KeyTable = (
    (r"^roi_head\.bbox_head\.shared_fcs\.0\.", "head.fc1."),
    (r"^roi_head\.bbox_head\.shared_fcs\.1\.", "head.fc2."),
    (r"^roi_head\.bbox_head\.fc_cls\.", "head.classify."),
    (r"^roi_head\.bbox_head\.fc_reg\.", "head.regress."),
)
MASK_HEAD: KeyTable = (
    (r"^roi_head\.mask_head\.convs\.", "mask_head.tower."),
    (r"^roi_head\.mask_head\.upsample\.", "mask_head.upsample."),
    (r"^roi_head\.mask_head\.conv_logits\.", "mask_head.predict."),
)
BOX_HEADS: KeyTable = (
    (r"^roi_head\.bbox_head\.(\d)\.shared_fcs\.0\.", r"head.\1.fc1."),
    (r"^roi_head\.bbox_head\.(\d)\.shared_fcs\.1\.", r"head.\1.fc2."),
    (r"^roi_head\.bbox_head\.(\d)\.fc_cls\.", r"head.\1.classify."),
    (r"^roi_head\.bbox_head\.(\d)\.fc_reg\.", r"head.\1.regress."),
)
MASK_HEADS: KeyTable = (
    (r"^roi_head\.mask_head\.(\d)\.convs\.", r"mask_head.\1.tower."),
    (r"^roi_head\.mask_head\.(\d)\.upsample\.", r"mask_head.\1.upsample."),
    (r"^roi_head\.mask_head\.(\d)\.conv_logits\.", r"mask_head.\1.predict."),
)
"""One a stage of a cascade."""

RETINANET = Route(
    models=r"retinanet_.*",
    table=(
        *FPN_FROM_C3,
        *TOWERS,
        (r"^bbox_head\.retina_cls\.", "head.classify."),
        (r"^bbox_head\.retina_reg\.", "head.regress."),
    ),
    arguments={"p7_relu": False},
)
FCOS = Route(
    models=r"fcos_.*",
    table=(
        *FPN_FROM_C3,
        *TOWERS,
        (r"^bbox_head\.conv_cls\.", "head.classify."),
        (r"^bbox_head\.conv_reg\.", "head.regress."),
        (r"^bbox_head\.conv_centerness\.", "head.center."),
        (r"^bbox_head\.scales\.(\d+)\.scale$", r"head.scales.\1"),
    ),
    older=(
        (r"^bbox_head\.fcos_(cls|reg)\.", r"bbox_head.conv_\1."),
        (r"^bbox_head\.fcos_centerness\.", "bbox_head.conv_centerness."),
    ),
)
FASTER_RCNN = Route(models=r"faster_rcnn_.*", table=(*FPN, *RPN, *BOX_HEAD))
MASK_RCNN = Route(models=r"mask_rcnn_.*", table=(*FPN, *RPN, *BOX_HEAD, *MASK_HEAD))
CASCADE_RCNN = Route(models=r"cascade_rcnn_.*", table=(*FPN, *RPN, *BOX_HEADS))
CASCADE_MASK_RCNN = Route(models=r"cascade_mask_rcnn_.*", table=(*FPN, *RPN, *BOX_HEADS, *MASK_HEADS))
DETR = Route(
    models=r"detr_.*",
    table=(
        (r"^neck\.convs\.0\.conv\.", "project."),
        (r"^query_embedding\.weight$", "queries"),
        (r"^bbox_head\.fc_cls\.", "head.classify."),
        (r"^bbox_head\.reg_ffn\.layers\.0\.0\.", "head.box_tower.0."),
        (r"^bbox_head\.reg_ffn\.layers\.1\.", "head.box_tower.2."),
        (r"^bbox_head\.fc_reg\.", "head.regress."),
        (r"\.self_attn\.attn\.", ".attention."),
        (r"\.cross_attn\.attn\.", ".cross_attention."),
        (r"\.ffn\.layers\.0\.0\.", ".feedforward.up."),
        (r"\.ffn\.layers\.1\.", ".feedforward.down."),
        *((rf"\.norms\.{i}\.", f".norm{i + 1}.") for i in range(3)),
        (r"^decoder\.post_norm\.", "decoder.norm."),
    ),
    older=(
        (r"^bbox_head\.input_proj\.", "neck.convs.0.conv."),
        (r"^bbox_head\.query_embedding\.", "query_embedding."),
        (r"^bbox_head\.transformer\.", ""),
        (r"\.attentions\.0\.", ".self_attn."),
        (r"\.(attentions\.1|multihead_attn)\.", ".cross_attn."),
        (r"\.ffns\.0\.", ".ffn."),
        (r"^decoder\.norm\.", "decoder.post_norm."),
    ),
)
"""In mmdetection 2 all of it was the head's."""

DETECTORS = (RETINANET, FCOS, FASTER_RCNN, MASK_RCNN, CASCADE_RCNN, CASCADE_MASK_RCNN, DETR)


def _theirs(route: Route) -> Route:
    """With what all of them have: the backbone under our name, and mean and deviation where a version stored them.

    (Torchvision, detectron2 and DETR have more below ``backbone.``, by which their files are no one's else.)
    """
    own = r"^backbone\.(?!body\.|fpn|bottom_up\.|top_block\.|0\.)"
    return replace(route, same=(*route.same, own), drop=(*route.drop, r"^data_preprocessor\."))


SOURCE = Source(
    name="openmmlab",
    routes=tuple(map(_theirs, (*DETECTORS, *routes("openmmlab")))),
    describe=facts_of,
    wrap=wrapped,
)
