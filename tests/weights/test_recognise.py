"""Each file is known for what it is among all networks, with any class count; others are refused with their share."""

from __future__ import annotations

import functools
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
from baimu.preprocess import imagenet
from baimu.weights import recognise as recognise_module
from baimu.weights.catalog import entries
from baimu.weights.keys import convert_back
from baimu.weights.outline import Outline, Part, outline, takes_classes
from baimu.weights.recognise import SOURCES, Recognised, recognise, source_named
from baimu.weights.sizes import size_of, sizes
from tests.weights.pieces import detectron2_names, numbered, stored
from tests.weights.test_routes import DETECTORS, goldens

SERVED = {
    f"{source.name}-{name}": (source.name, name)
    for source in map(source_named, SOURCES)
    for route in source.routes
    for name in zoo.index()
    if re.fullmatch(route.models, name)
}


@functools.cache
def ends(source: str) -> set[str]:
    """Of each of its routes for classifiers the smallest and the largest, and all detectors."""
    found = set()
    for route in source_named(source).routes:
        names = sorted((n for n in zoo.index() if re.fullmatch(route.models, n)), key=lambda n: sizes().get(n, 0))
        found |= {n for n in names if zoo.model_info(n).task != "classification"} | {*names[:1], *names[-1:]}
    return found


TWIN = {"timm": "torchvision"}  # whose tables are often those of the other
FIRST = [
    pytest.param(source, name, id=key)
    for key, (source, name) in SERVED.items()
    if name in ends(source)
    if f"{TWIN.get(source)}-{name}" not in SERVED
    or source_named(TWIN[source]).route(name) != source_named(source).route(name)
]


def written(source: str, name: str, classes: int, part: Part = "model", **arguments) -> dict[str, Tensor]:
    """A network of the catalogue as ``source`` would store it, without memory."""
    route = source_named(source).route(name)
    shapes = outline(name, {**route.arguments, **arguments}).shapes(classes, part)
    ours = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    ours |= {key: torch.ones(()) for key in ours if key.startswith("head.scales")}
    return convert_back(ours, route)


def known(tensors: dict[str, Tensor], **options) -> Recognised:
    return recognise(stored(tensors), **options)


@pytest.mark.parametrize(("source", "name"), FIRST)
def test_every_network_is_recognised_among_all_with_its_class_count(source: str, name: str) -> None:
    """But for networks of the same shapes, as a dilated DETR, of which the shortest name is taken."""
    found = known(written(source, name, 13))
    assert source in {s.name for s in found.sources}
    assert name in (found.name, *found.also)
    assert len(found.name) <= len(name)
    assert found.part == "model"
    assert found.arguments.get("num_classes") == (13 if takes_classes(name) else None)


def test_goldens_of_openmmlab_are_recognised(shared: Path) -> None:
    for _, name, route, theirs, classes in goldens(shared):
        found = known(theirs)
        assert (found.origin, found.name) == ("openmmlab", name)
        assert found.arguments == {**route.arguments, "num_classes": classes}


@pytest.mark.parametrize("name", zoo.list_models())
def test_the_size_of_every_backbone_is_written_down(name: str) -> None:
    assert sizes().get(name) == size_of(outline(name, {}).two), "run make zoo"


def test_networks_without_a_size_are_found_all_the_same(monkeypatch) -> None:
    monkeypatch.setattr(recognise_module, "sizes", dict)
    assert known(written("torchvision", "squeezenet1_1", 10)).name == "squeezenet1_1"
    assert known(written("openmmlab", "fcos_r50_fpn", 10)).name == "fcos_r50_fpn"


def test_few_networks_are_built_to_recognise_one(monkeypatch) -> None:
    asked = set()

    def noted(name: str, arguments: dict) -> Outline:
        asked.add(name)
        return outline(name, arguments)

    monkeypatch.setattr(recognise_module, "outline", noted)
    assert known(written("torchvision", "resnext101_32x8d", 1000)).name == "resnext101_32x8d"
    assert asked == {"resnext101_32x8d"}
    assert known(written("openmmlab", "retinanet_r50_fpn", 80)).name == "retinanet_r50_fpn"
    assert len(asked) <= 3


def test_a_table_of_two_sources_is_said_of_both() -> None:
    assert known(written("timm", "resnet50", 10)).origin == "torchvision or timm"
    assert known(written("timm", "resnet50", 10), origin="timm").origin == "timm"
    assert known(written("openmmlab", "resnet50", 10)).origin == "openmmlab"
    assert known(written("huggingface", "resnet50", 10)).origin == "huggingface"
    assert known(written("torchvision", "resnet50", 10)).facts.arguments == {"stride_in_3x3": True}


@pytest.mark.parametrize("source", ["torchvision", "openmmlab", "huggingface"])
def test_a_file_without_a_head_is_a_backbone(source: str) -> None:
    found = known(written(source, "resnet50", 10, "backbone"))
    assert (found.name, found.part, found.arguments) == ("resnet50", "backbone", {})
    assert all(key.startswith("backbone.") for key in found.state)


def test_a_head_without_its_classifier_is_no_head() -> None:
    """timm's networks with ``num_classes=0``: what comes before the classifier is kept for another one."""
    tensors = written("timm", "mobilenet_v2", 10)
    del tensors["classifier.weight"], tensors["classifier.bias"]
    found = known(tensors)
    assert (found.name, found.part, found.arguments) == ("mobilenet_v2", "backbone", {})
    assert "head.widen.conv.weight" in found.state
    del tensors["conv_head.weight"]
    assert "missing: head.widen.conv.weight" in refused(tensors)


BACKBONES = {
    "mmdet": {
        "centernet_r18": "resnet18",
        "faster_rcnn_r50_fpn": "resnet50",
        "x101_32x4d_faster_rcnn_fpn": "resnext101_32x4d",
        "yolov3_d53": "darknet53",
        "ssdlite_mobilenetv2": "mobilenet_v2",
    },
    "mmseg": {"fcn_r50_d8": "resnet50_v1c", "fcn_hr18": "hrnet_w18"},
}


@pytest.mark.parametrize("room", BACKBONES)
def test_backbones_of_goldens_are_recognised(shared: Path, room: str) -> None:
    """By their parameters alone, from which OpenMMLab's detectors and segmenters start."""
    for golden, name in BACKBONES[room].items():
        with np.load(shared / "goldens" / room / f"{golden}.npz") as file:
            entries = json.loads(file["meta"].item())["state"]
        shapes = {key: shape for key, shape, *_ in entries if key.startswith("backbone.")}
        found = known(numbered(shapes))
        assert (found.name, found.part) == (name, "backbone")


def test_bare_names_are_those_of_three_sources_which_differ_in_style() -> None:
    found = known(written("torchvision", "resnet50", 10, "backbone"))
    assert found.origin == "torchvision or timm or openmmlab"
    assert found.facts.arguments == {}, "OpenMMLab has them with strides in the first 1x1 as well"


def caffe2_names(depth: tuple[int, ...] = (3, 4, 6, 3), groups: int = 1) -> dict[str, list[int]]:
    """Of Detectron's ImageNet pickles, whose norms have a scale and a shift only."""
    shapes: dict[str, list[int]] = {"conv1_w": [64, 3, 7, 7], "conv1_b": [64]}
    shapes |= {f"res_conv1_bn_{part}": [64] for part in "sb"}
    inputs = 64
    for stage, blocks in enumerate(depth):
        inner = 64 * 2**stage * (4 if groups > 1 else 1)
        outer = 256 * 2**stage
        for block in range(blocks):
            branches = {"2a": (inner, inputs, 1), "2b": (inner, inner // groups, 3), "2c": (outer, inner, 1)}
            for name, (out, width, kernel) in (branches | ({} if block else {"1": (outer, inputs, 1)})).items():
                key = f"res{stage + 2}_{block}_branch{name}"
                shapes |= {f"{key}_w": [out, width, kernel, kernel], f"{key}_bn_s": [out], f"{key}_bn_b": [out]}
            inputs = outer
    return shapes | {"fc1000_w": [1000, 2048], "fc1000_b": [1000]}


def test_detectrons_pickles_for_imagenet_are_recognised() -> None:
    found = known(numbered(caffe2_names()))
    assert (found.origin, found.name) == ("detectron2", "resnet50")
    assert found.arguments == {"num_classes": 1000, "stride_in_3x3": False}
    assert found.facts.preprocess is not None
    assert (found.facts.preprocess.channel_order, found.facts.preprocess.std) == ("bgr", (1, 1, 1))
    x101 = known({**numbered(caffe2_names((3, 4, 23, 3), groups=32)), "conv1_w_momentum": torch.zeros(3)})
    assert (x101.name, x101.arguments) == ("resnext101_32x8d", {"num_classes": 1000})
    assert x101.facts.preprocess is not None
    assert x101.facts.preprocess.std == (57.375, 57.12, 58.395)
    norms = {key for key in found.state if key.endswith("running_var")}
    assert len(norms) == 53
    assert all(torch.all(found.state[key] + 1e-5 == 1) for key in norms), "they change nothing"


def test_a_pickle_converted_from_torchvision_says_so() -> None:
    tensors = written("detectron2", "resnet50", 1000)
    assert {"stem.conv1.norm.weight", "res5.2.conv3.weight", "stem.fc.bias"} <= tensors.keys()
    found = recognise(stored(tensors, {"__author__": "torchvision"}))
    assert found.arguments == {"num_classes": 1000}
    assert found.facts.preprocess == imagenet


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
    assert (found.origin, found.name) == ("torchvision", name)
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
    assert {(source, name) for source, name, _ in published} <= {*SERVED.values()}
    for source, name, arguments in sorted(row for row in published if row[2]):
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
    assert "0% of its 2 names are known of torchvision, timm, openmmlab" in message
    assert "encoder.0.weight" in message


def test_every_source_has_its_module() -> None:
    rooms = Path(source_named.__code__.co_filename).parent
    found = {path.stem for path in rooms.glob("*.py") if re.search(r"^SOURCE = ", path.read_text(), re.MULTILINE)}
    assert found == set(SOURCES)


def test_building_leaves_names_and_specs_alone() -> None:
    """Outlines are built on the meta device and take no memory."""
    assert all(value.is_meta for value in written("openmmlab", "retinanet_r18_fpn", 3).values())
    assert create_model("retinanet_r18_fpn", num_classes=3).backbone.conv1.weight.device.type == "cpu"
