"""Parameter names of OpenMMLab detectors (mmdetection 2 and 3)."""

from __future__ import annotations

from baimu.weights.keys import KeyTable

DETECTION: KeyTable = (
    (r"^neck\.lateral_convs\.", "neck.lateral."),
    (r"^neck\.fpn_convs\.", "neck.output."),
    (r"^bbox_head\.cls_convs\.", "head.class_tower."),
    (r"^bbox_head\.reg_convs\.", "head.box_tower."),
    (r"^(head\.\w+_tower\.\d+)\.(gn|bn)\.", r"\1.norm."),
    (r"^bbox_head\.(retina_cls|conv_cls)\.", "head.classify."),
    (r"^bbox_head\.(retina_reg|conv_reg)\.", "head.regress."),
    (r"^bbox_head\.conv_centerness\.", "head.center."),
    (r"^bbox_head\.scales\.(\d+)\.scale$", r"head.scales.\1"),
    (r"^rpn_head\.rpn_conv\.", "rpn.conv.conv."),
    (r"^rpn_head\.rpn_cls\.", "rpn.objectness."),
    (r"^rpn_head\.rpn_reg\.", "rpn.regress."),
    (r"^roi_head\.bbox_head\.shared_fcs\.0\.", "head.fc1."),
    (r"^roi_head\.bbox_head\.shared_fcs\.1\.", "head.fc2."),
    (r"^roi_head\.bbox_head\.fc_cls\.", "head.classify."),
    (r"^roi_head\.bbox_head\.fc_reg\.", "head.regress."),
)
"""Extra pyramid levels continue the index of ``fpn_convs``: see :func:`extra_levels`."""


def extra_levels(levels: int, extra: int) -> KeyTable:
    """Pairs, to come after :data:`DETECTION`, that move ``neck.output.<levels…>`` to ``neck.coarse.<0…>``."""
    return tuple((rf"^neck\.output\.{levels + i}\.", f"neck.coarse.{i}.") for i in range(extra))
