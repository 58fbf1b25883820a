"""``baimu.convert``: files of other libraries become ours and go back, bit for bit."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import resnet18

import baimu
from baimu.errors import CheckpointError
from baimu.weights.archive import read_document
from baimu.weights.keys import convert_back
from baimu.weights.recognise import source_named
from baimu.weights.stored import read_stored
from tests.training.small import small_data, small_fcos
from tests.weights.pieces import detectron2_names, spread
from tests.weights.test_config_text import TWO
from tests.weights.test_foreign import SMALL, openmmlab, saved, scenes, torchvision_r18
from tests.weights.test_foreign import RetinaNet as TorchvisionRetinaNet
from tests.weights.test_routes import same

META = {"config": TWO, "CLASSES": ("cat", "dog", "owl")}


def quiet(*words: str | Path, **options) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return baimu.convert(*words, **options)


@pytest.mark.parametrize("name", ["retinanet_r18_fpn", "fcos_r18_fpn", "faster_rcnn_r18_fpn"])
def test_openmmlab_to_ours_and_back(name: str, tmp_path: Path) -> None:
    _, path = openmmlab(name, tmp_path / "theirs.pth", META, num_classes=3)
    ours = baimu.convert(path, tmp_path / "ours.safetensors")
    back = quiet(ours, tmp_path / "back.pth", to="openmmlab")
    assert same(read_stored(back).tensors, read_stored(path).tensors)
    again = baimu.load(back)
    assert again.classes == ("cat", "dog", "owl")
    assert again.preprocess == baimu.load(ours).preprocess == baimu.load(path).preprocess
    assert again.spec == baimu.load(path).spec


def test_ours_to_theirs_and_back_keeps_every_bit(tmp_path: Path) -> None:
    _, path = openmmlab("fcos_r18_fpn", tmp_path / "theirs.pth", META, num_classes=3)
    ours = baimu.convert(path, tmp_path / "ours.safetensors")
    back = quiet(ours, tmp_path / "b.pth", to="openmmlab")
    again = baimu.convert(back, tmp_path / "c.safetensors")
    assert same(load_file(again), load_file(ours))
    told = {key: value for key, value in read_document(again).items() if key != "converted"}
    assert told == {key: value for key, value in read_document(ours).items() if key != "converted"}


def test_half_precision_stays_half(tmp_path: Path) -> None:
    _, path = openmmlab("retinanet_r18_fpn", tmp_path / "theirs.pth", META, num_classes=3)
    halves = {k: v.half() if v.is_floating_point() else v for k, v in read_stored(path).tensors.items()}
    saved({"state_dict": halves, "meta": META}, path)
    ours = baimu.convert(path, tmp_path / "ours.safetensors")
    assert load_file(ours)["model.head.classify.weight"].dtype == torch.float16
    assert same(read_stored(quiet(ours, tmp_path / "back.pth", to="openmmlab")).tensors, halves)
    assert baimu.load(ours).head.classify.weight.dtype == torch.float32


@pytest.mark.parametrize("counters", [True, False])
def test_torchvision_to_ours_and_back(counters: bool, tmp_path: Path) -> None:
    """With the counters of batch norms as they were: kept, or none where the file has frozen norms."""
    theirs = spread(torchvision_r18(TorchvisionRetinaNet, 4)).state_dict()
    theirs = {k: v for k, v in theirs.items() if counters or not k.endswith("num_batches_tracked")}
    path = tmp_path / "theirs.safetensors"
    save_file(theirs, path)
    ours = quiet(path, tmp_path / "ours.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = baimu.convert(ours, tmp_path / "back.safetensors", to="torchvision")
    assert same(load_file(back), theirs)
    assert read_document(ours)["converted"]["from"] == "torchvision"
    assert bool(read_document(ours)["converted"]["absent"]) != counters
    torchvision_r18(TorchvisionRetinaNet, 4).load_state_dict(load_file(back), strict=counters)


def test_detectron2_to_ours_and_back(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    theirs = {
        key: torch.randn(shape, generator=random) for key, shape in detectron2_names((3, 4, 6, 3), dense=True).items()
    }
    path = saved({"model": theirs, "__author__": "someone"}, tmp_path / "model_final.pth")
    ours = quiet(path, tmp_path / "ours.safetensors")
    assert same(read_stored(quiet(ours, tmp_path / "back.pth", to="detectron2")).tensors, theirs)
    with pytest.warns(UserWarning, match="no names"):
        model = baimu.load(path)
    assert model.spec == ("retinanet_r50_fpn", {"stride_in_3x3": False, "num_classes": 3})
    assert model.preprocess.channel_order == "bgr"


def test_a_classifier_there_and_back(tmp_path: Path) -> None:
    theirs = spread(resnet18(weights=None, num_classes=3)).state_dict()
    path = saved(theirs, tmp_path / "resnet18.pth")
    ours = quiet(path, tmp_path / "ours.safetensors", classes=["a", "b", "c"])
    assert read_document(ours)["model"] == ["resnet18", {"num_classes": 3}]
    assert baimu.load(ours).classes == ("a", "b", "c")
    for to in ("timm", "torchvision"):
        assert same(read_stored(baimu.convert(ours, tmp_path / "back.pth", to=to)).tensors, theirs)
    other = baimu.convert(ours, tmp_path / "mmpretrain.pth", to="openmmlab")
    assert read_stored(other).about["meta"]["CLASSES"] == ["a", "b", "c"]
    again = quiet(other, tmp_path / "again.safetensors")
    assert same(load_file(again), load_file(ours))
    assert read_document(again)["preprocess"] == read_document(ours)["preprocess"]
    with pytest.raises(CheckpointError, match="resnet18: there is no table for weights of detr"):
        baimu.convert(ours, tmp_path / "detr.pth", to="detr")


def test_a_backbone_there_and_back(tmp_path: Path) -> None:
    theirs = {k: v for k, v in spread(resnet18(weights=None)).state_dict().items() if not k.startswith("fc.")}
    path = saved(theirs, tmp_path / "resnet18.pth")
    ours = quiet(path, tmp_path / "ours.safetensors")
    assert (read_document(ours)["model"], read_document(ours)["part"]) == (["resnet18", {}], "backbone")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(baimu.load(ours).conv1.weight, theirs["conv1.weight"])
        back = baimu.convert(ours, tmp_path / "back.pth", to="timm")
    assert same(read_stored(back).tensors, theirs)


@pytest.mark.parametrize("author", ["torchvision", "MSRA"])
def test_detectron2s_pickles_for_imagenet_there_and_back(author: str, tmp_path: Path) -> None:
    """The author tells channel order and stride; both are kept."""
    route = source_named("detectron2").route("resnet50")
    theirs = convert_back(baimu.create_model("resnet50").state_dict(), route)
    theirs = {key: value for key, value in theirs.items() if not key.endswith("num_batches_tracked")}
    arrays = {key: value.numpy() for key, value in theirs.items()}
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": author, "matching_heuristics": True}))
    ours = baimu.convert(path, tmp_path / "ours.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = baimu.load(ours)
    assert model.backbone.stride_in_3x3 == (author == "torchvision")
    assert (model.preprocess.channel_order, model.preprocess.size) == ("rgb" if author == "torchvision" else "bgr", 224)
    assert model.classes[340] == "zebra"
    back = read_stored(quiet(ours, tmp_path / "back.pth", to="detectron2"))
    assert same(back.tensors, theirs)
    assert back.about["__author__"] == author


def test_a_run_becomes_a_file_of_openmmlab(tmp_path: Path) -> None:
    """What the other library's network of that name does otherwise is said."""
    data = scenes("disc", "key", "star")
    run = baimu.train(baimu.create_model("retinanet_r18_fpn", num_classes=3), data, out=tmp_path / "run", **SMALL)
    with pytest.warns(UserWarning, match="networks of openmmlab have p7_relu=False of retinanet_r18_fpn"):
        path = baimu.convert(run.folder, tmp_path / "theirs.pth", to="openmmlab")
    theirs = read_stored(path)
    assert theirs.about["meta"]["dataset_meta"]["classes"] == list(data.train.classes)
    assert torch.equal(theirs.tensors["bbox_head.retina_cls.bias"], run.model().head.classify.bias)


def test_a_run_of_an_object_has_no_name_to_convert_by(tmp_path: Path) -> None:
    run = baimu.train(small_fcos(3), small_data(), out=tmp_path / "run", epochs=1, batch_size=4, workers=0, size=64)
    with pytest.raises(CheckpointError, match="has no name to convert by"):
        baimu.convert(run.folder, tmp_path / "theirs.pth", to="openmmlab")


def test_what_the_other_library_does_not_have_is_refused(tmp_path: Path) -> None:
    _, path = openmmlab("fcos_r18_fpn", tmp_path / "theirs.pth", META, num_classes=3)
    with pytest.raises(
        CheckpointError, match="fcos_r18_fpn: there is no table for weights of torchvision; it has: retinanet"
    ):
        baimu.convert(path, tmp_path / "out.pth", to="torchvision")
    _, path = openmmlab("fcos_center_r18_fpn", tmp_path / "theirs.pth", META, num_classes=3)
    learned = read_stored(path).tensors | {"bbox_head.scales.1.scale": torch.tensor(2.0)}
    saved({"state_dict": learned, "meta": META}, path)
    with pytest.raises(CheckpointError, match=r"theirs\.pth: cannot be written for torchvision: .*head\.scales\.1"):
        baimu.convert(path, tmp_path / "out.pth", to="torchvision")
    _, path = openmmlab("retinanet_r18_fpn", tmp_path / "theirs.pth", META, num_classes=3, scratch=True)
    with pytest.raises(CheckpointError, match=r"no such parameters: neck\.lateral\.0\.norm\.weight"):
        baimu.convert(path, tmp_path / "out.pth", to="torchvision")
    assert not list(tmp_path.glob("*out*")), "nothing half written"


def test_endings_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"out\.pth: a file of baimu must end in \.safetensors"):
        baimu.convert("absent.pth", tmp_path / "out.pth")
    with pytest.raises(
        CheckpointError, match=r"out\.onnx: a file of openmmlab must end in \.safetensors, \.pth or \.pt"
    ):
        baimu.convert("absent.pth", tmp_path / "out.onnx", to="openmmlab")


@pytest.mark.parametrize("to", [None, "openmmlab"])
def test_a_place_that_cannot_be_written_is_named(to: str | None, tmp_path: Path) -> None:
    _, path = openmmlab("retinanet_r18_fpn", tmp_path / "theirs.pth", META, num_classes=3)
    (tmp_path / "out.safetensors" / "inside").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"out\.safetensors: cannot be written"):
        quiet(path, tmp_path / "out.safetensors", to=to)
    assert len(list(tmp_path.iterdir())) == 2, "nothing half written"


def test_a_pickle_of_detectron2s_model_zoo_is_read(tmp_path: Path) -> None:
    """Arrays under torch's names, the author beside them."""
    shapes = detectron2_names((3, 4, 6, 3))
    random = np.random.default_rng(0)
    theirs = {key: random.standard_normal(shape, np.float32) for key, shape in shapes.items()}
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": theirs, "__author__": "Detectron2 Model Zoo"}))
    with pytest.warns(UserWarning, match="no names"):
        model = baimu.load(path)
    assert model.spec == ("faster_rcnn_r50_fpn", {"stride_in_3x3": False, "num_classes": 3})
    fc1 = theirs["roi_heads.box_head.fc1.weight"]
    assert torch.equal(model.head.fc1.weight.detach(), torch.from_numpy(fc1)), "flattened by (channel, row, column)"
