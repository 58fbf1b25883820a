"""Parameters of OpenMMLab: mmdetection 2 and 3, mmpretrain, and backbones of mmsegmentation."""

from __future__ import annotations

from dataclasses import replace

from baimu.weights.config_text import facts_of, wrapped
from baimu.weights.families import routes
from baimu.weights.keys import KeyTable, Route, Source, State

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

STEM: KeyTable = tuple(
    (rf"^backbone\.stem\.{3 * i + j}\.", f"backbone.{part}{i + 1}.")
    for i in range(3)
    for j, part in enumerate(("conv", "bn"))
)
"""Of three convolutions: mmsegmentation's ResNets, "v1c"."""
SEGMENTER: KeyTable = (
    *STEM,
    (r"^decode_head\.conv_seg\.", "head.classify."),
    (r"^auxiliary_head\.conv_seg\.", "auxiliary.classify."),
    (r"^auxiliary_head\.convs\.", "auxiliary.convs."),
)
BRICKS: KeyTable = ((r"^(head|auxiliary|neck)\.(.*)\.bn\.", r"\1.\2.norm."),)
ASPP: KeyTable = (
    (r"^decode_head\.image_pool\.1\.", "head.aspp.mean."),
    (r"^decode_head\.aspp_modules\.", "head.aspp.branches."),
    (r"^decode_head\.bottleneck\.", "head.aspp.project."),
    (r"\.depthwise_conv\.", ".depthwise."),
    (r"\.pointwise_conv\.", ".pointwise."),
)
_JOINED = "decode_head.bottleneck.conv.weight"


def mean_last(state: State) -> State:
    """ASPP joins the map's mean first; ours has it last, as the paper and torchvision."""
    return {k: v.roll(-v.shape[0], 1) if k == _JOINED else v for k, v in state.items()}


def mean_first(state: State) -> State:
    """The inverse of :func:`mean_last`."""
    return {k: v.roll(v.shape[0], 1) if k == _JOINED else v for k, v in state.items()}


LIKE_MMSEG = {"like": "mmsegmentation"}
FCN = Route(
    models=r"fcn_r\d+",
    table=(
        *SEGMENTER,
        (r"^decode_head\.convs\.", "head.convs."),
        (r"^decode_head\.conv_cat\.", "head.join."),
        *BRICKS,
    ),
)
PSPNET = Route(
    models=r"pspnet_r\d+",
    table=(
        *SEGMENTER,
        (r"^decode_head\.psp_modules\.(\d)\.1\.", r"head.pyramid.views.\1."),
        (r"^decode_head\.bottleneck\.", "head.join."),
        *BRICKS,
    ),
    arguments=LIKE_MMSEG,
)
DEEPLABV3 = Route(
    models=r"deeplabv3_r\d+",
    table=(*SEGMENTER, *ASPP, *BRICKS),
    arguments=LIKE_MMSEG,
    to_ours=mean_last,
    to_theirs=mean_first,
)
DEEPLABV3PLUS = replace(
    DEEPLABV3,
    models=r"deeplabv3plus_r\d+",
    table=(
        *SEGMENTER,
        *ASPP,
        (r"^decode_head\.c1_bottleneck\.", "head.fine."),
        (r"^decode_head\.sep_bottleneck\.", "head.refine."),
        *BRICKS,
    ),
)
UNET = Route(
    models=r"unet_s5_d16",
    table=(
        (r"^backbone\.encoder\.0\.0\.convs\.", "backbone.stages.0."),
        *((rf"^backbone\.encoder\.{i}\.1\.convs\.", f"backbone.stages.{i}.") for i in range(1, 5)),
        (r"^backbone\.decoder\.(\d)\.conv_block\.convs\.", r"neck.joins.\1."),
        (r"^backbone\.decoder\.(\d)\.upsample\.interp_upsample\.1\.", r"neck.ups.\1."),
        (r"^decode_head\.convs\.", "head.convs."),
        *SEGMENTER[len(STEM) :],
        *BRICKS,
        (r"^backbone\.(.*)\.bn\.", r"backbone.\1.norm."),
    ),
)
"""Their stages after the first begin with the pooling."""

SEGMENTERS = (FCN, PSPNET, DEEPLABV3, DEEPLABV3PLUS, UNET)
DETECTORS = (RETINANET, FCOS, FASTER_RCNN, MASK_RCNN, CASCADE_RCNN, CASCADE_MASK_RCNN, DETR)


def _theirs(route: Route) -> Route:
    """With what all of them have: the backbone under our name, and mean and deviation where a version stored them.

    (Torchvision, detectron2 and DETR have more below ``backbone.``, by which their files are no one's else.)
    """
    own = r"^backbone\.(?!body\.|fpn|bottom_up\.|top_block\.|0\.)"
    return replace(route, same=(*route.same, own), drop=(*route.drop, r"^data_preprocessor\."))


SOURCE = Source(
    name="openmmlab",
    routes=tuple(map(_theirs, (*DETECTORS, *SEGMENTERS, *routes("openmmlab")))),
    describe=facts_of,
    wrap=wrapped,
)
