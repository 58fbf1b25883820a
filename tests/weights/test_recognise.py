"""Each file is known for what it is among all networks, with any class count; others are refused with their share."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from baimu import create_model, zoo
from baimu.errors import CheckpointError, UnknownNameError
from baimu.weights.catalog import entries
from baimu.weights.keys import convert_back
from baimu.weights.recognise import SOURCES, Recognised, backbones, outline, recognise, source_named
from tests.weights.pieces import detectron2_names, numbered, stored
from tests.weights.test_routes import DETECTORS, goldens

FIRST = [
    pytest.param(source.name, name, id=f"{source.name}-{name}")
    for source in map(source_named, SOURCES)
    if source.name != "timm"  # its files are torchvision's
    for route in source.routes
    for name in (*zoo.index(), *backbones())
    if re.fullmatch(route.models, name)
]


def written(source: str, name: str, classes: int, **arguments) -> dict[str, Tensor]:
    """A network of the catalogue as ``source`` would store it, without memory."""
    route = source_named(source).route(name)
    shapes = outline(name, {**route.arguments, **arguments}).shapes(classes)
    ours = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    ours |= {key: torch.ones(()) for key in ours if key.startswith("head.scales")}
    return convert_back(ours, route)


def known(tensors: dict[str, Tensor], **options) -> Recognised:
    return recognise(stored(tensors), **options)


@pytest.mark.parametrize(("source", "name"), FIRST)
def test_every_network_is_recognised_among_all_with_its_class_count(source: str, name: str) -> None:
    """But a dilated DETR, whose shapes are the plain one's."""
    found = known(written(source, name, 13))
    assert found.source.name == source
    assert name in (found.name, *found.also)
    assert (found.name == name) == ("dc5" not in name)
    if name not in backbones():
        assert found.arguments["num_classes"] == 13


def test_goldens_of_openmmlab_are_recognised(shared: Path) -> None:
    for _, name, route, theirs, classes in goldens(shared):
        found = known(theirs)
        assert (found.source.name, found.name) == ("openmmlab", name)
        assert found.arguments == {**route.arguments, "num_classes": classes}


SAME_NETWORK = {
    "freeanchor_r50_fpn": "retinanet_r50_fpn",
    "pisa_retinanet_r50_fpn": "retinanet_r50_fpn",
    "giou_faster_rcnn_r50_fpn": "faster_rcnn_r50_fpn",
    "soft_nms_faster_rcnn_r50_fpn": "faster_rcnn_r50_fpn",
}
"""Trained or decoded otherwise; their parameters mean the same."""


def test_every_other_golden_of_mmdetection_is_refused(shared: Path) -> None:
    """Near relatives among them: other heads, necks, plug-ins and backbones."""
    ours = {golden for golden, *_ in goldens(shared)}
    for path in sorted((shared / "goldens" / "mmdet").glob("*.npz")):
        if path.stem in ours:
            continue
        with np.load(path) as file:
            entries = json.loads(file["meta"].item())["state"]
        tensors = numbered({name: shape for name, shape, kind, _ in entries if kind != "c"})
        if path.stem in SAME_NETWORK:
            assert known(tensors).name == SAME_NETWORK[path.stem]
        else:
            assert re.search(r"\n  \d\d?% of the parameters match\n", refused(tensors)), path.stem


@pytest.mark.parametrize("name", DETECTORS)
def test_torchvision_detectors_are_recognised(name: str) -> None:
    make = getattr(torchvision.models.detection, DETECTORS[name])
    with torch.device("meta"):
        found = known(make(weights=None, weights_backbone=None, num_classes=6).state_dict())
    assert (found.source.name, found.name) == ("torchvision", name)
    dense = name.startswith(("retinanet", "fcos"))
    assert found.arguments == {"like": "torchvision", "num_classes": 6 if dense else 5}, "background is no class"


def test_detectron2_is_recognised_and_its_deviation_tells_where_the_stride_is() -> None:
    names = numbered(detectron2_names((3, 4, 23, 3)))
    assert known(names).arguments == {"num_classes": 3, "stride_in_3x3": False}
    scaled = {"pixel_mean": torch.tensor([103.53, 116.28, 123.675]), "pixel_std": torch.tensor([57.0, 57, 58])}
    found = known(names | scaled)
    assert found.name == "faster_rcnn_r101_fpn"
    assert found.arguments == {"num_classes": 3}
    assert found.facts.preprocess is not None
    assert found.facts.preprocess.std == (57, 57, 58)
    assert found.facts.preprocess.channel_order == "bgr"


def test_a_configuration_beside_the_parameters_tells_the_style() -> None:
    tensors = written("openmmlab", "retinanet_r50_fpn", 4)
    for style, argument in (("caffe", {"stride_in_3x3": False}), ("pytorch", {})):
        found = recognise(stored(tensors, {"meta": {"config": f"backbone=dict(depth=50, style='{style}')"}}))
        assert found.arguments == {"p7_relu": False, "num_classes": 4, **argument}
    fcos = written("openmmlab", "fcos_r50_fpn", 4)
    found = recognise(stored(fcos, {"meta": {"config": "style='pytorch'"}}))
    assert found.arguments == {"num_classes": 4, "stride_in_3x3": True}, "FCOS is caffe style by itself"


def test_a_network_trained_from_scratch_is_recognised_by_its_norms() -> None:
    found = known(written("openmmlab", "retinanet_r18_fpn", 4, scratch=True))
    assert found.name == "retinanet_r18_fpn"
    assert found.arguments["scratch"] is True


def test_given_names_and_arguments_come_first() -> None:
    tensors = written("openmmlab", "detr_r50_dc5", 4)
    assert known(tensors, as_="detr_r50_dc5").name == "detr_r50_dc5"
    assert known(tensors).also == ("detr_r50_dc5",)
    tiny = written("openmmlab", "fcos_r18_fpn", 4, width=64, depth=2)
    assert known(tiny, as_="fcos_r18_fpn", arguments={"width": 64, "depth": 2}).arguments["width"] == 64
    with pytest.raises(UnknownNameError, match="Did you mean fcos_r50_fpn"):
        known(tiny, as_="fcos_r50_fpm")
    with pytest.raises(UnknownNameError, match="unknown source of weights 'mmdet'"):
        known(tiny, origin="mmdet")


def test_every_published_file_has_its_route() -> None:
    """With the name and the arguments that the catalogue of weights states."""
    published = {(e.source, e.name, tuple(e.arguments.items())) for e in entries()}
    for source, name, arguments in sorted(published):
        tensors = written(source, name, 80, **dict(arguments))
        found = known(tensors, as_=name, origin=source, arguments=dict(arguments))
        assert found.arguments.items() >= dict(arguments).items()


def refused(tensors: dict[str, Tensor], **options) -> str:
    with pytest.raises(CheckpointError) as error:
        known(tensors, **options)
    return str(error.value)


def test_another_backbone_is_refused_with_its_share() -> None:
    message = refused(written("openmmlab", "retinanet_r101_fpn", 4), as_="retinanet_r50_fpn")
    assert re.search(r"it is not retinanet_r50_fpn\.\n  6\d% of the parameters match", message)
    assert "not used: backbone.layer3.6.conv1.weight" in message


def test_another_family_is_refused() -> None:
    message = refused(written("openmmlab", "retinanet_r50_fpn", 4), as_="fcos_r50_fpn")
    assert "missing: head.class_tower.0.norm.weight" in message
    assert "not used: head.class_tower.0.conv.bias" in message


def test_transposed_parameters_are_refused() -> None:
    tensors = written("openmmlab", "faster_rcnn_r18_fpn", 4)
    tensors["roi_head.bbox_head.shared_fcs.0.weight"] = tensors["roi_head.bbox_head.shared_fcs.0.weight"].T
    message = refused(tensors)
    assert "faster_rcnn_r18_fpn is the nearest network here" in message
    assert "head.fc1.weight: (12544, 1024) in the file, (1024, 12544) in the model" in message


@pytest.mark.parametrize("name", ["retinanet_r18_fpn", "mask_rcnn_r18_fpn"])
def test_a_set_of_keys_that_is_cut_short_is_refused(name: str) -> None:
    tensors = written("torchvision", name, 4)
    cut = dict(list(tensors.items())[: len(tensors) * 3 // 4])
    message = refused(cut)
    assert re.search(r"\d\d?% of the parameters match\n  missing: ", message)
    message = refused({key: value for key, value in tensors.items() if "layer3" not in key})
    assert "missing: backbone.layer3.0.conv1.weight" in message


def test_heads_of_different_class_counts_are_refused() -> None:
    tensors = written("openmmlab", "faster_rcnn_r18_fpn", 4)
    tensors["roi_head.bbox_head.fc_reg.weight"] = torch.empty(20, 1024)
    assert "head.regress.weight: (20, 1024) in the file, (16, 1024) in the model" in refused(tensors)


def test_a_network_that_baimu_lacks_is_refused_with_the_nearest() -> None:
    tensors = written("openmmlab", "fcos_r50_fpn", 4)
    other = {re.sub("conv_centerness", "atss_centerness", key): value for key, value in tensors.items()}
    message = refused(other)
    assert "fcos_r50_fpn is the nearest network here" in message
    assert "\n  99% of the parameters match" in message


def test_names_without_a_table_and_arguments_that_nobody_takes_are_told() -> None:
    tensors = written("torchvision", "retinanet_r18_fpn", 4)
    assert "fcos_r18_fpn has no table for weights of torchvision, whose file it is" in refused(
        tensors, as_="fcos_r18_fpn"
    )
    assert "torchvision, of which no network takes colour" in refused(tensors, arguments={"colour": "red"})


def test_tensors_of_nobody_are_refused() -> None:
    message = refused({"encoder.0.weight": torch.zeros(3), "step": torch.zeros(())})
    assert "0% of its 2 names are known of openmmlab, torchvision" in message
    assert "encoder.0.weight" in message


def test_every_source_has_its_module() -> None:
    rooms = Path(source_named.__code__.co_filename).parent
    found = {path.stem for path in rooms.glob("*.py") if re.search(r"^SOURCE = ", path.read_text(), re.MULTILINE)}
    assert found == set(SOURCES)


def test_building_leaves_names_and_specs_alone() -> None:
    """Outlines are built on the meta device and take no memory."""
    assert all(value.is_meta for value in written("openmmlab", "retinanet_r18_fpn", 3).values())
    assert create_model("retinanet_r18_fpn", num_classes=3).backbone.conv1.weight.device.type == "cpu"
