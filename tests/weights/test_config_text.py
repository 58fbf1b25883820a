"""Configurations that OpenMMLab stores as text are searched for what belongs to the weights, and never run."""

from __future__ import annotations

import pytest

from baimu.preprocess import Preprocess
from baimu.weights.config_text import facts_of, preprocess_in, wrapped
from baimu.weights.keys import Facts
from tests.weights.pieces import stored

TWO = """model = dict(
    type='RetinaNet',
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN', requires_grad=False), style='caffe'),
    bbox_head=dict(bbox_coder=dict(target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[1.0, 1.0, 1.0, 1.0])))
img_norm_cfg = dict(
    mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
train_pipeline = [
    dict(type='Resize', img_scale=[(1333, 640), (1333, 800)], keep_ratio=True),
    dict(type='Normalize', mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False),
    dict(type='Pad', size_divisor=32)]
data = dict(test=dict(pipeline=[dict(type='MultiScaleFlipAug', img_scale=(1000, 600), flip=False)]))
"""
THREE = """model = dict(
    type='FCOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[
            123.675,
            116.28,
            103.53,
        ],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=64),
    backbone=dict(type='ResNet', depth=50))
test_pipeline = [dict(type='Resize', scale=(512, 512), keep_ratio=False)]
"""


def test_version_2() -> None:
    facts = facts_of(stored({}, {"meta": {"config": TWO, "CLASSES": ["cat", "dog"], "epoch": 12}}))
    assert facts.classes == ("cat", "dog")
    assert facts.arguments == {"stride_in_3x3": False}
    assert facts.preprocess == Preprocess((103.53, 116.28, 123.675), (1.0, 1.0, 1.0), "bgr", "shortest", 600, 1000, 32)


def test_version_3() -> None:
    facts = facts_of(stored({}, {"meta": {"cfg": THREE, "dataset_meta": {"classes": ["a", "b"]}}}))
    assert facts.classes == ("a", "b")
    assert facts.arguments == {"stride_in_3x3": True}, "no style is said, but images are RGB and scaled"
    assert facts.preprocess == Preprocess(resize="stretch", size=512, max_size=512, pad_to=64)


CLASSIFIER = """model = dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=50, style='pytorch'))
data_preprocessor = dict(mean=[123.675, 116.28, 103.53], num_classes=1000, std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal')]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(backend='pillow', edge='short', scale=236, type='ResizeEdge', interpolation='bicubic'),
    dict(crop_size=224, type='CenterCrop'),
    dict(type='PackInputs')]
"""


def test_of_a_classifier_the_crop() -> None:
    facts = facts_of(stored({}, {"meta": {"cfg": CLASSIFIER}}))
    assert facts.arguments == {"stride_in_3x3": True}
    assert facts.preprocess == Preprocess(
        resize="crop", size=224, pad_to=1, crop_share=224 / 236, interpolation="bicubic"
    )
    old = "img_norm_cfg = dict(mean=[1, 2, 3], std=[1.0, 1, 1], to_rgb=True)\ntest_pipeline = [dict(type='Resize', "
    old += "size=(256, -1)), dict(type='CenterCrop', crop_size=224), dict(type='Normalize', mean=[1, 2, 3])]"
    assert preprocess_in(old) == Preprocess((1, 2, 3), (1, 1, 1), resize="crop", size=224, pad_to=1)


@pytest.mark.parametrize(
    "about", [{}, {"meta": {}}, {"meta": {"cfg": 3}}, {"meta": "none"}, {"meta": {"cfg": "x = 1"}}]
)
def test_what_says_nothing_says_nothing(about: dict) -> None:
    assert facts_of(stored({}, about)) == Facts()


def test_a_single_class_written_as_a_word_is_one_class() -> None:
    assert facts_of(stored({}, {"meta": {"CLASSES": "cat"}})).classes == ("cat",)


def test_text_is_not_run() -> None:
    assert preprocess_in("mean=[__import__('os').abort(), 1, 2], std=[1, 1, 1]") is None


BOXES = Preprocess((1.5, 2.0, 3.0), (1.0, 2.0, 4.0), "bgr", "shortest", 640, 1000, 16)
CROPS = Preprocess(resize="crop", size=240, pad_to=1, crop_share=240 / 256, interpolation="bicubic")


@pytest.mark.parametrize(("place", "preprocess"), [(True, BOXES), (False, BOXES), (True, CROPS)])
def test_what_we_write_beside_parameters_we_read(place: bool, preprocess: Preprocess) -> None:
    facts = Facts(("cat", "dog"), preprocess, {"stride_in_3x3": place})
    file = wrapped({}, facts)
    assert facts_of(stored({}, {"meta": {**file["meta"], "CLASSES": ["cat", "dog"]}})) == facts
