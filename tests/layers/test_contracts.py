"""The seams between parts: a part that does not fit is named at construction, with both sides."""

from __future__ import annotations

import pytest
from torch import nn

from baimu.backbones.resnet import resnet18
from baimu.detection.fcos import FCOS
from baimu.detection.retinanet import RetinaNet
from baimu.layers.contracts import Backbone, Neck, check_pyramid
from baimu.necks.fpn import FPN


def test_a_backbone_and_a_neck_are_what_they_say() -> None:
    backbone = resnet18()
    assert isinstance(backbone, Backbone)
    assert isinstance(FPN(backbone, 8), Neck)
    assert not isinstance(nn.Identity(), Backbone)


def test_a_part_without_channels_is_named_with_its_reader() -> None:
    with pytest.raises(TypeError, match="FPN reads `channels` and `strides` of its Identity"):
        FPN(nn.Identity(), 8)
    mute = nn.Identity()
    mute.channels, mute.strides = (), ()
    with pytest.raises(TypeError, match=r"RetinaNet reads .* of its Identity; it has \(\) and \(\)"):
        RetinaNet(resnet18(), mute)


def test_the_wrong_number_of_levels_is_told() -> None:
    backbone = resnet18()
    with pytest.raises(TypeError, match=r"FCOS needs 5 maps, but its FPN gives 4 \(strides \(4, 8, 16, 32\)\)"):
        FCOS(backbone, FPN(backbone, 32))
    check_pyramid(backbone, "reader", levels=4)
