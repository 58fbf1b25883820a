"""Every route, there and back: names and values of OpenMMLab's goldens, torchvision, timm, and detectron2's code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from baimu import create_model, zoo
from baimu.weights.keys import Route, Source, convert, convert_back, known_share, renamed
from baimu.weights.outline import Unfilled, build, outline, takes_classes
from baimu.weights.recognise import SOURCES, source_named
from baimu.weights.sizes import sizes
from tests.weights.pieces import detectron2_names, numbered, spread

SERVED = [
    pytest.param(source, route, name, id=f"{source.name}-{name}")
    for source in map(source_named, SOURCES)
    for route in source.routes
    for name in sorted(zoo.index(), key=lambda n: sizes().get(n, 0))
    if re.fullmatch(route.models, name)
]


SMALLEST = list({served.values[1].models + served.values[0].name: served for served in reversed(SERVED)}.values())
"""One network of each route."""


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def apart(key: str, route: Route) -> bool:
    """Whether a parameter of ours is not in such a file."""
    return any(re.search(pattern, key) for pattern in route.elsewhere)


@pytest.mark.parametrize(("source", "route", "name"), SERVED)
def test_names_and_shapes_go_there_and_come_back(source: Source, route: Route, name: str) -> None:
    shapes = outline(name, route.arguments).two
    ours = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    ours = {key: torch.ones(()) if key.startswith("head.scales") else value for key, value in ours.items()}
    shapes = {key: shape for key, shape in shapes.items() if not apart(key, route)}
    theirs = convert_back(ours, route)
    assert known_share(theirs, route) == 1, "it knows its own"
    again = renamed(theirs, route)
    assert {key: value.shape for key, value in again.items()} == shapes


@pytest.mark.parametrize(("source", "route", "name"), SMALLEST)
def test_values_go_there_and_come_back_bit_for_bit(source: Source, route: Route, name: str) -> None:
    """Rows of large matrices are of equal numbers; counters are all the same, for a joined layer has one of them."""
    del source
    torch.manual_seed(0)
    with torch.device("meta"), Unfilled():
        model = build(name, {**route.arguments, **({"num_classes": 3} if takes_classes(name) else {})})
    ours: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        rows = torch.randn(value.shape[:1]).reshape(-1, *[1] * (value.dim() - 1)) if value.dim() else torch.ones(())
        ours[key] = torch.randn(value.shape) if value.dim() >= 1 and value.numel() < 2**18 else rows.expand(value.shape)
    theirs = convert_back(ours, route)
    assert same(convert(theirs, model, route), {key: value for key, value in ours.items() if not apart(key, route)})


def goldens(shared: Path) -> Iterator[tuple[str, str, Route, dict[str, Tensor], int]]:
    """Of each model that we have: the golden, our name, its route, the reference's state and its class count."""
    names = {
        "retinanet_r50_fpn": "retinanet_r50_fpn",
        "fcos_r50_gn_head": "fcos_r50_fpn",
        "fcos_r50_gn_head_center": "fcos_r50_fpn",
        "fcos_r50_center_normbbox_giou": "fcos_center_r50_fpn",
        "faster_rcnn_r50_fpn": "faster_rcnn_r50_fpn",
        "x101_32x4d_faster_rcnn_fpn": "faster_rcnn_x101_32x4d_fpn",
        "mask_rcnn_r50_fpn": "mask_rcnn_r50_fpn",
        "cascade_rcnn_r50_fpn": "cascade_rcnn_r50_fpn",
        "detr_r50": "detr_r50",
    }
    for golden, name in names.items():
        with np.load(shared / "goldens" / "mmdet" / f"{golden}.npz") as file:
            meta = json.loads(file["meta"].item())
        shapes = {entry: shape for entry, shape, kind, _ in meta["state"] if kind != "c"}
        yield golden, name, source_named("openmmlab").route(name), numbered(shapes), meta["num_classes"]


def test_openmmlab_there_and_back(shared: Path) -> None:
    for _, name, route, theirs, classes in goldens(shared):
        with torch.device("meta"):
            model = create_model(name, num_classes=classes, **route.arguments)
        ours = convert(theirs, model, route)
        assert ours.keys() == model.state_dict().keys(), name
        back = convert_back(ours, route)
        assert list(back) == list(theirs), name
        assert same(back, theirs), name


DETECTORS = {
    "retinanet_r50_fpn": "retinanet_resnet50_fpn",
    "fcos_center_r50_fpn": "fcos_resnet50_fpn",
    "faster_rcnn_r50_fpn": "fasterrcnn_resnet50_fpn",
    "mask_rcnn_r50_fpn": "maskrcnn_resnet50_fpn",
}


@pytest.mark.parametrize("name", DETECTORS)
def test_torchvision_there_and_back(name: str) -> None:
    """But for the box and the mask of background, which nothing reads."""
    make = getattr(torchvision.models.detection, DETECTORS[name])
    theirs = spread(make(weights=None, weights_backbone=None, num_classes=4)).state_dict()
    route = source_named("torchvision").route(name)
    back = convert_back(renamed(theirs, route), route)
    unread = {"roi_heads.box_predictor.bbox_pred": 4, "roi_heads.mask_predictor.mask_fcn_logits": 1}
    assert list(back) == list(theirs)
    for key, value in theirs.items():
        rows = unread.get(key.rpartition(".")[0], 0)
        assert torch.equal(back[key][rows:], value[rows:]) if rows else torch.equal(back[key], value), key


@pytest.mark.parametrize("name", DETECTORS)
def test_torchvision_names_before_0_13_are_read(name: str) -> None:
    """Most published files have them: convolutions without a block of their own around them."""
    make = getattr(torchvision.models.detection, DETECTORS[name])
    present = make(weights=None, weights_backbone=None, num_classes=4).state_dict()
    flat = {
        r"(inner|layer)_blocks\.(\d)\.0\.": r"\1_blocks.\2.",
        r"^rpn\.head\.conv\.0\.0\.": "rpn.head.conv.",
        r"^roi_heads\.mask_head\.(\d)\.0\.": lambda found: f"roi_heads.mask_head.mask_fcn{int(found[1]) + 1}.",
    }
    if name.startswith("retinanet"):
        flat[r"_head\.conv\.(\d)\.0\."] = lambda found: f"_head.conv.{2 * int(found[1])}."
    older = {}
    for key, value in present.items():
        for pattern, replacement in flat.items():
            key = re.sub(pattern, replacement, key)
        older[key] = value
    assert older.keys() != present.keys()
    route = source_named("torchvision").route(name)
    assert same(renamed(older, route), renamed(present, route))


def test_background_moves_from_first_to_last_and_its_box_goes() -> None:
    names = ("roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred")
    state = {f"{names[0]}.{p}": torch.arange(4.0) for p in ("weight", "bias")}
    state |= {f"{names[1]}.{p}": torch.arange(16.0) for p in ("weight", "bias")}
    route = source_named("torchvision").route("faster_rcnn_r50_fpn")
    moved = route.to_ours(state)
    for part in ("weight", "bias"):
        assert moved[f"{names[0]}.{part}"].tolist() == [1, 2, 3, 0]
        assert moved[f"{names[1]}.{part}"].tolist() == list(range(4, 16))
        assert state[f"{names[1]}.{part}"].numel() == 16, "the state given is not changed"


def test_learned_scales_cannot_be_written_for_torchvision() -> None:
    route = source_named("torchvision").route("fcos_center_r50_fpn")
    ours = {"head.classify.weight": torch.ones(2), **{f"head.scales.{i}": torch.ones(()) for i in range(5)}}
    assert list(convert_back(ours, route)) == ["head.classification_head.cls_logits.weight"]
    with pytest.raises(Exception, match=r"no scale a level; here they are learned: head\.scales\.3$"):
        convert_back(ours | {"head.scales.3": torch.tensor(1.5)}, route)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("retinanet_r50_fpn", {"dense": True}),
        ("faster_rcnn_r50_fpn", {}),
        ("mask_rcnn_r50_fpn", {"masks": True}),
    ],
)
def test_detectron2_names_there_and_back(name: str, options: dict) -> None:
    """Names as its model code builds them, for no detectron2 runs here."""
    theirs = numbered(detectron2_names((3, 4, 6, 3), **options))
    route = source_named("detectron2").route(name)
    with torch.device("meta"):
        model = create_model(name, num_classes=3)
    ours = convert({"pixel_mean": torch.zeros(3, 1, 1), **theirs}, model, route)
    assert {k for k in model.state_dict() if k not in ours} == {
        k for k in model.state_dict() if k.endswith("num_batches_tracked")
    }
    back = convert_back(ours, route)
    assert same(back, theirs)


def test_detectron2_anchors_of_a_cell_change_places() -> None:
    """Its RetinaNet lists sizes and within them ratios; ours ratios and within them sizes."""
    classes = 2
    theirs = {"head.cls_score.bias": torch.empty(9 * classes), "head.bbox_pred.bias": torch.empty(9 * 4)}
    for size in range(3):
        for ratio in range(3):
            for k in range(classes):
                theirs["head.cls_score.bias"][(size * 3 + ratio) * classes + k] = 100 * size + 10 * ratio + k
            for side in range(4):
                theirs["head.bbox_pred.bias"][(size * 3 + ratio) * 4 + side] = 100 * size + 10 * ratio + side
    ours = renamed(theirs, source_named("detectron2").route("retinanet_r50_fpn"))
    for ratio in range(3):
        for size in range(3):
            for k in range(classes):
                assert ours["head.classify.bias"][(ratio * 3 + size) * classes + k] == 100 * size + 10 * ratio + k
            for side in range(4):
                assert ours["head.regress.bias"][(ratio * 3 + size) * 4 + side] == 100 * size + 10 * ratio + side
