"""``baimu.load`` of a file that another library wrote: it predicts at once, with its own classes and preprocessing."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

import baimu
from baimu.backbones.resnet import ResNet
from baimu.datasets.playground import Playground
from baimu.datasets.source import Splits
from baimu.errors import CheckpointError
from baimu.preprocess import Preprocess, imagenet
from baimu.weights import catalog, entry
from baimu.weights.cache import digest
from baimu.weights.checkpoint import read_trained
from baimu.weights.keys import convert_back
from baimu.weights.outline import outline
from baimu.weights.recognise import source_named
from tests.parity.peers.filled import fill
from tests.parity.peers.with_torchvision import FACTORS
from tests.parity.sets import detections_matched
from tests.weights.pieces import spread
from tests.weights.test_config_text import CLASSIFIER, TWO

CATEGORIES = torchvision.models.detection.RetinaNet_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
AS_IS = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "min_size": 128, "max_size": 256}
"""torchvision's own preprocessing made to do nothing."""


def torchvision_r18(kind: type[nn.Module], classes: int) -> nn.Module:
    """One of torchvision's detectors on ResNet-18, as its builders put them together."""
    torch.manual_seed(0)
    extra = {} if kind is FasterRCNN else {"returned_layers": [2, 3, 4], "extra_blocks": LastLevelP6P7(256, 256)}
    backbone = _resnet_fpn_extractor(torchvision.models.resnet18(weights=None), 5, **extra)
    if kind is not RetinaNet:
        return kind(backbone, num_classes=classes, **AS_IS)
    sizes = tuple((x, int(x * 2 ** (1 / 3)), int(x * 2 ** (2 / 3))) for x in (32, 64, 128, 256, 512))
    anchors = torchvision.models.detection.anchor_utils.AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5)
    return kind(backbone, num_classes=classes, anchor_generator=anchors, **AS_IS)


def images(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def saved(tensors: dict[str, Any], path: Path) -> Path:
    torch.save(tensors, path)
    return path


def openmmlab(name: str, path: Path, meta: dict[str, Any] | None = None, **arguments: Any) -> tuple[nn.Module, Path]:
    """A random network of ours, and the file OpenMMLab would write of it."""
    torch.manual_seed(0)
    route = source_named("openmmlab").route(name)
    model = spread(baimu.create_model(name, **{**route.arguments, **arguments}))
    return model, saved({"meta": meta or {}, "state_dict": convert_back(model.state_dict(), route)}, path)


@torch.no_grad()
@pytest.mark.parametrize("kind", [RetinaNet, FCOS, FasterRCNN])
def test_a_torchvision_file_detects_what_torchvision_detects(kind: type[nn.Module], tmp_path: Path) -> None:
    """Of the same names too: the 91 categories of COCO, of which 11 stand for nothing."""
    peer: Any = fill(torchvision_r18(kind, 91), {**FACTORS, "cls_logits.weight": 0.1})  # else many scores are just 1
    if kind is FCOS:
        nn.init.constant_(peer.head.regression_head.bbox_reg.bias, 5.0)  # boxes without area, which we drop, are rare
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = baimu.load(saved(peer.state_dict(), tmp_path / "theirs.pth"))
    assert not model.training
    assert model.preprocess == imagenet
    ids = {name: i for i, name in enumerate(CATEGORIES) if name not in ("N/A", "__background__")}
    for i, name in enumerate(model.classes, start=91 - len(model.classes)):
        assert ids.get(name, i) == i
        assert (name in ids) == (not name.startswith("unused"))
    for size in ((128, 256), (256, 128)):
        found, expected = model.detect(images(*size)), peer(list(images(*size)))
        for i, theirs in enumerate(expected):
            count = min(30, int(found.counts[i]))
            mine = found.boxes[i, :count], found.scores[i, :count], found.labels[i, :count] + 91 - model.num_classes
            his = theirs["boxes"][:30], theirs["scores"][:30], theirs["labels"][:30]
            assert count > 5
            assert detections_matched(*(tuple(x.numpy() for x in columns) for columns in (his, mine)))[0] < 1e-4


NOT_SAID = "how images were normalised is not in the file: taken as resnet18 has it (preprocess= tells)"


@torch.no_grad()
def test_a_classifiers_file_gives_the_classifier(tmp_path: Path) -> None:
    """Of ImageNet's classes by name, for there are 1000; what classifiers leave to their user is assumed aloud."""
    peer = spread(torchvision.models.resnet18(weights=None))
    with pytest.warns(UserWarning, match="normalised") as said:
        model = baimu.load(saved(peer.state_dict(), tmp_path / "resnet18.pth"))
    assert [str(w.message) for w in said] == [f"{tmp_path / 'resnet18.pth'}: {NOT_SAID}"]
    assert model.spec == ("resnet18", {"num_classes": 1000})
    assert model.classes == tuple(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    assert model.preprocess == imagenet.replace(resize="crop", size=224, pad_to=1)
    for size in ((64, 96), (97, 65)):
        torch.testing.assert_close(model(images(*size)), peer(images(*size)), atol=1e-5, rtol=1e-5)
    assert read_trained(tmp_path / "resnet18.pth").origin == "torchvision or timm", "there it is the same"


@torch.no_grad()
@pytest.mark.parametrize("depth", [18, 50])
def test_a_file_without_a_head_gives_the_backbone(depth: int, tmp_path: Path) -> None:
    """A bottleneck's stride is not told by names that OpenMMLab has as well."""
    peer = spread(timm.create_model(f"resnet{depth}", features_only=True, out_indices=(1, 2, 3, 4)))
    style = "halve maps in the 3x3" if depth == 50 else "normalised"
    with pytest.warns(UserWarning, match=style):
        model = baimu.load(saved(peer.state_dict(), tmp_path / "resnet.pth"))
    assert isinstance(model, ResNet)
    assert model.preprocess == imagenet.replace(resize="crop", size=224, pad_to=1)
    for size in ((64, 96), (97, 65)):
        for mine, theirs in zip(model(images(*size)), peer(images(*size)), strict=True):
            assert (mine - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def test_a_head_for_classes_of_ones_own(tmp_path: Path) -> None:
    """On the classifier, rows come along by name; on a backbone alone it starts fresh."""
    peer = spread(torchvision.models.resnet18(weights=None))
    path = saved(peer.state_dict(), tmp_path / "resnet18.pth")
    with pytest.warns(
        UserWarning, match=r"come along by name: goldfish, zebra \(2\); classes that start fresh: unicorn"
    ):
        model = baimu.load(path, classes=["goldfish", "unicorn", "zebra"])
    assert torch.equal(model.head.linear.weight[2], peer.fc.weight[340])
    assert torch.equal(model.backbone.conv1.weight, peer.conv1.weight)
    bare = {key: value for key, value in peer.state_dict().items() if not key.startswith("fc.")}
    path = saved(bare, tmp_path / "bare.pth")
    with pytest.warns(UserWarning, match=r"fresh: head\.linear\.weight, head\.linear\.bias \(2\)$"):
        model = baimu.load(path, classes=["zebra", "horse"])
    assert model.spec == ("resnet18", {"num_classes": 2})
    assert model.classes == ("zebra", "horse")
    assert torch.equal(model.backbone.conv1.weight, peer.conv1.weight)
    with pytest.raises(CheckpointError, match=r"missing: head\.linear\.weight"):
        baimu.load(path, model=baimu.create_model("resnet18"))


def test_a_classifier_of_openmmlab_brings_classes_and_crop(tmp_path: Path) -> None:
    meta = {"cfg": CLASSIFIER, "dataset_meta": {"classes": ["cat", "dog"]}}
    ours, path = openmmlab("resnet50", tmp_path / "a.pth", meta, num_classes=2, stride_in_3x3=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = baimu.load(path)
    assert model.classes == ("cat", "dog")
    assert (model.preprocess.size, model.preprocess.interpolation) == (224, "bicubic")
    assert torch.equal(model.head.linear.weight, ours.head.linear.weight)


def test_a_published_file_is_known_by_its_name_and_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says nothing of is in the catalogue."""
    path = saved(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "resnet18-saved.pth")
    known = replace(entry("resnet18.imagenet_a1"), url=f"https://example.org/{path.name}", sha256=digest(path)[:8])
    monkeypatch.setattr(catalog, "_entries", lambda: {known.tag: known})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert baimu.load(path).preprocess == known.preprocess
    assert read_trained(path).origin == "timm"
    assert known.preprocess.size == 288
    other = path.rename(tmp_path / "mine.pth")
    assert read_trained(other).preprocess.size == 224
    saved({}, path)
    assert catalog.published(path) is None, "another file of this name"


def test_what_the_file_may_lack_starts_fresh_and_is_said(tmp_path: Path) -> None:
    """Training's auxiliary classifiers, which torchvision's published file does not have."""
    names = outline("googlenet", {}).two
    ours = {key: torch.zeros(shape) for key, shape in names.items() if not key.startswith("auxiliary.")}
    path = saved(convert_back(ours, source_named("torchvision").route("googlenet")), tmp_path / "googlenet.pth")
    with pytest.warns(UserWarning, match="normalised") as said:
        model = baimu.load(path)
    fresh = {key for key, value in model.state_dict().items() if value.is_floating_point() and value.any()}
    assert all(key.startswith("auxiliary.") for key in fresh)
    assert bool(fresh) == ("fresh: auxiliary." in str(said[0].message))


def test_an_openmmlab_file_brings_classes_preprocessing_and_style(tmp_path: Path) -> None:
    meta = {"config": TWO, "CLASSES": ("cat", "dog", "owl")}
    ours, path = openmmlab("retinanet_r50_fpn", tmp_path / "a.pth", meta, num_classes=3, stride_in_3x3=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = baimu.load(path)
    assert model.classes == ("cat", "dog", "owl")
    assert (model.preprocess.channel_order, model.preprocess.mean[0], model.preprocess.size) == ("bgr", 103.53, 600)
    assert model.backbone.stride_in_3x3 is False
    assert model.spec == ("retinanet_r50_fpn", {"p7_relu": False, "stride_in_3x3": False, "num_classes": 3})
    with torch.no_grad():
        for mine, theirs in zip(model(images(64, 96)).logits, ours(images(64, 96)).logits, strict=True):
            assert torch.equal(mine, theirs)
    found = model.predict(np.zeros((60, 80, 3), np.uint8), score_threshold=0.0)
    assert found[0].names == ("cat", "dog", "owl")


def test_what_nobody_says_is_assumed_aloud(tmp_path: Path) -> None:
    _, path = openmmlab("retinanet_r50_fpn", tmp_path / "a.pth", num_classes=3)
    with pytest.warns(UserWarning, match="normalised") as said:
        model = baimu.load(path)
    (message,) = [str(w.message) for w in said]
    assert "how images were normalised is not in the file: taken as retinanet_r50_fpn has it" in message
    assert "its ResNet is taken to halve maps in the 3x3 (pytorch style): stride_in_3x3=False says otherwise" in message
    assert "its classes have no names (classes= names them)" in message
    assert model.classes == ("class 0", "class 1", "class 2")
    bgr = Preprocess(channel_order="bgr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = baimu.load(path, classes=["a", "b", "c"], preprocess=bgr, stride_in_3x3=False)
    assert model.backbone.stride_in_3x3 is False
    assert model.preprocess == bgr
    assert model.classes == ("a", "b", "c")


def test_a_head_for_other_classes_takes_rows_by_name(tmp_path: Path) -> None:
    meta = {"config": TWO, "CLASSES": ("cat", "dog", "owl")}
    ours, path = openmmlab("retinanet_r18_fpn", tmp_path / "a.pth", meta, num_classes=3)
    with pytest.warns(UserWarning, match=r"come along by name: owl, cat \(2\); classes that start fresh: elk \(1\)$"):
        model = baimu.load(path, classes=["owl", "elk", "cat", "dog"][:3])
    before, after = ours.head.classify.weight.unflatten(0, (9, 3)), model.head.classify.weight.unflatten(0, (9, 3))
    assert torch.equal(after[:, 0], before[:, 2])
    assert torch.equal(after[:, 2], before[:, 0])
    assert float(after[:, 1].detach().std()) == pytest.approx(0.01, rel=0.1), "as a fresh head"
    with pytest.warns(UserWarning, match=r"start fresh: class 0, class 1 \(2\); fresh: head\.classify\.weight"):
        assert baimu.load(path, classes=2).classes == ("class 0", "class 1")


def test_coco_in_torchvision_can_be_cut_to_its_80_classes(tmp_path: Path) -> None:
    peer = torchvision_r18(FasterRCNN, 91)
    path = saved(peer.state_dict(), tmp_path / "theirs.pth")
    coco = baimu.load(path).classes
    assert len(coco) == 90
    used = [name for name in coco if not name.startswith("unused")]
    with pytest.warns(UserWarning, match=r"come along by name: person, bicycle, car, motorcycle, … \(80\)$"):
        model = baimu.load(path, classes=used)
    assert model.num_classes == 80
    assert torch.equal(model.head.classify.weight[-1], peer.roi_heads.box_predictor.cls_score.weight[0]), "background"
    assert torch.equal(model.head.classify.weight[11], peer.roi_heads.box_predictor.cls_score.weight[13]), "stop sign"


def test_into_an_object(tmp_path: Path) -> None:
    ours, path = openmmlab("fcos_r18_fpn", tmp_path / "a.pth", {"CLASSES": ("a", "b")}, num_classes=2)
    other = baimu.create_model("fcos_r18_fpn", num_classes=2)
    with pytest.warns(UserWarning, match="normalised"):
        assert baimu.load(path, model=other) is other
    assert torch.equal(other.head.center.weight, ours.head.center.weight)
    with pytest.raises(CheckpointError, match="belongs to another model"):
        baimu.load(path, model=baimu.create_model("fcos_r50_fpn", num_classes=2))


def test_wrong_files_are_refused_with_the_share_and_nothing_is_loaded(tmp_path: Path) -> None:
    _, path = openmmlab("fcos_r18_fpn", tmp_path / "a.pth", num_classes=2)
    with pytest.raises(
        CheckpointError, match=r"a\.pth: a file of openmmlab, but it is not retinanet_r18_fpn\.\n +\d+%"
    ):
        baimu.load(path, as_="retinanet_r18_fpn")
    (tmp_path / "b.pth").write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(CheckpointError, match=r"b\.pth"):
        baimu.load(tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=r"c\.pth: there is no such checkpoint or run folder"):
        baimu.load(tmp_path / "c.pth")


def test_arguments_that_a_network_does_not_take_are_told(tmp_path: Path) -> None:
    _, path = openmmlab("fcos_r18_fpn", tmp_path / "a.pth", num_classes=2)
    with pytest.raises(CheckpointError, match=r"fcos_r18_fpn cannot be built as these weights need it: .*colour"):
        baimu.load(path, as_="fcos_r18_fpn", colour="red")


SMALL = {"epochs": 1, "batch_size": 2, "workers": 0, "size": 64, "max_size": 64, "lr": 1e-9, "ema_decay": 0}


def scenes(*names: str) -> Splits:
    return Splits(*(Playground(2, 64, seed, classes=list(names)) for seed in range(2)))


def test_training_goes_on_from_a_foreign_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One step; rows by name; the mean and the channel order are the file's."""
    meta = {"config": TWO, "CLASSES": ("heart", "disc", "key")}
    ours, path = openmmlab("retinanet_r18_fpn", tmp_path / "a.pth", meta, num_classes=3)
    data = scenes("disc", "star")
    run = baimu.train("retinanet_r18_fpn", data, out=tmp_path / "run", weights=path, **SMALL)
    said = capsys.readouterr().out
    assert f"starts from {path}; classes that come along by name: disc (1); classes that start fresh: star (1)" in said
    model = run.model()
    disc = data.train.classes.index("disc")
    before, after = ours.head.classify.weight.unflatten(0, (9, 3)), model.head.classify.weight.unflatten(0, (9, 2))
    torch.testing.assert_close(after[:, disc], before[:, 1], atol=1e-6, rtol=1e-4)
    assert model.spec == ("retinanet_r18_fpn", {"p7_relu": False, "num_classes": 2})
    assert (model.preprocess.channel_order, model.preprocess.mean[0], model.preprocess.size) == ("bgr", 103.53, 64)


def test_training_starts_from_a_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The backbone only, as it was trained: RGB, and strides in the 3x3, though FCOS has them elsewhere."""
    peer = spread(torchvision.models.resnet50(weights=None))
    path = saved(peer.state_dict(), tmp_path / "resnet50.pth")
    run = baimu.train("fcos_r50_fpn", scenes("disc"), out=tmp_path / "run", weights=path, **SMALL)
    said = capsys.readouterr().out
    assert "fresh: neck.lateral.0.conv.weight" in said
    assert "backbone." not in said.partition("\n")[0]
    model = run.model()
    assert torch.equal(model.backbone.layer1[0].conv1.weight, peer.layer1[0].conv1.weight), "frozen"
    assert model.backbone.stride_in_3x3
    assert model.preprocess.channel_order == "rgb"


def test_a_loaded_model_is_saved_and_loaded_as_ours(tmp_path: Path) -> None:
    peer = torchvision_r18(RetinaNet, 4)
    with pytest.warns(UserWarning, match="no names"):
        model = baimu.load(saved(peer.state_dict(), tmp_path / "theirs.pth"))
    run = baimu.train(model.train(), scenes("disc", "key", "ring", "star"), out=tmp_path / "run", **SMALL)
    again = run.model()
    assert again.spec == ("retinanet_r18_fpn", {"like": "torchvision", "num_classes": 4})
    assert torch.equal(again.anchors.base0, model.anchors.base0), "rounded corners"
    with pytest.warns(UserWarning, match=r"come along by name: key \(1\); classes that start fresh: owl \(1\)$"):
        other = baimu.load(run.folder, classes=["owl", "key"])
    rows = again.head.classify.bias.unflatten(0, (9, 4))[:, again.classes.index("key")]
    assert torch.equal(other.head.classify.bias.unflatten(0, (9, 2))[:, 1], rows)


def test_reading_only_tells_what_would_be_loaded(tmp_path: Path) -> None:
    _, path = openmmlab("faster_rcnn_r18_fpn", tmp_path / "a.pth", {"CLASSES": ("a", "b")}, num_classes=2)
    trained = read_trained(path)
    assert (trained.origin, trained.name, trained.arguments) == ("openmmlab", "faster_rcnn_r18_fpn", {"num_classes": 2})
    assert trained.classes == ("a", "b")
    assert trained.preprocess == imagenet, "as the network has it"
    assert "head.fc1.weight" in trained.state
