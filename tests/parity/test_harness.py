"""The harness can fail: a wrong model differs, a lacking one is named, a broken file is told from both.

The golden file here is made of our own small detector, so that nothing outside the checkout is needed.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baimu import zoo
from baimu.errors import DataError
from baimu.weights.keys import convert_back
from tests.backbones.families import BY_NAME
from tests.parity import __main__ as command
from tests.parity import compare as compare_module
from tests.parity.compare import SOURCES, attempt, build, compare, recognise
from tests.parity.golden import Golden, golden_files
from tests.parity.outcome import Outcome, rounded, worst
from tests.parity.page import is_on_page, page, table
from tests.parity.pattern import ANY, unlike
from tests.parity.peers import classifiers, difference, peers
from tests.parity.sets import matched

TEST = {"nms_pre": 50, "min_bbox_size": 0, "score_thr": 0.05, "nms": {"type": "nms", "iou_threshold": 0.5}}
LOSSES = {
    "loss_cls": {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0},
    "loss_bbox": {"type": "IoULoss", "loss_weight": 1.0},
    "loss_centerness": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
}
CONFIG: dict[str, Any] = {
    "type": "FCOS",
    "backbone": {
        "type": "ResNet",
        "depth": 18,
        "num_stages": 4,
        "out_indices": [0, 1, 2, 3],
        "norm_cfg": {"type": "BN", "requires_grad": False},
        "style": "caffe",
    },
    "neck": {
        "type": "FPN",
        "in_channels": [64, 128, 256, 512],
        "out_channels": 256,
        "start_level": 1,
        "add_extra_convs": "on_output",
        "num_outs": 5,
        "relu_before_extra_convs": True,
    },
    "bbox_head": {
        "type": "FCOSHead",
        "num_classes": 3,
        "in_channels": 256,
        "stacked_convs": 4,
        "feat_channels": 256,
        "strides": [8, 16, 32, 64, 128],
        **LOSSES,
    },
    "test_cfg": TEST | {"max_per_img": 10},
}
META: dict[str, Any] = {
    "source": "mmdet",
    "versions": {"mmdet": "9.9.9"},
    "model_cfg": CONFIG,
    "num_classes": 3,
    "image_shape": [2, 3, 64, 96],
    "img_shapes": [[64, 96], [52, 76]],
    "input_scale": 1.0,
    "masks": False,
}
"""The header of a file, before its tensors."""


def write_golden(path: Path) -> None:
    """What :func:`compare` would find, had our model been the reference."""
    route = SOURCES["mmdet"].tables.route("fcos_r18_fpn")
    own = convert_back(zoo.create_model("fcos_r18_fpn", num_classes=3).state_dict(), route)
    meta = META | {"tensors": {}, "state": [entry(*item) for item in own.items()]}
    golden, arrays = Golden({}, meta), {}
    reading = recognise(meta)
    model = build(reading, golden, route)
    with torch.no_grad():
        for key, tensor in reading.observe(model, golden):
            meta["tensors"][key] = {"shape": list(tensor.shape), "step": 7, "absmax": tensor.abs().max().item()}
            arrays[key] = tensor.reshape(-1)[::7].numpy()
        found = model.detect(golden.images(), golden.targets().sizes)
    for i, count in enumerate(found.counts.tolist()):
        of = {"bboxes": found.boxes, "scores": found.scores, "labels": found.labels}
        arrays |= {f"pred/{i}/{key}": value[i, :count].numpy() for key, value in of.items()}
    losses = model.losses(golden.images(), golden.targets())
    names = {"cls": "loss_cls", "box": "loss_bbox", "center": "loss_centerness"}
    meta["losses"] = {names[key]: loss.item() for key, loss in losses.items()}
    torch.stack([*losses.values()]).sum().backward()
    gradients = convert_back({k: p.grad for k, p in model.named_parameters() if p.grad is not None}, route)
    meta["grad_names"] = list(gradients)
    arrays["grad_norms"] = np.array([g.double().norm().item() for g in gradients.values()])
    np.savez(path, meta=json.dumps(meta), **arrays)


def entry(name: str, value: Tensor) -> list[Any]:
    """Of the header's list of parameters."""
    ends = {"bias": "b", "running_mean": "b", "running_var": "v", "num_batches_tracked": "0"}
    kind = "w" if value.dim() > 1 else ends.get(name.rpartition(".")[2], "s")
    return [name, list(value.shape), kind, value[0].numel() ** -0.5 if kind == "w" else 1.0]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("goldens") / "own.npz"
    write_golden(path)
    return path


def changed(own: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the file with another header."""
    with np.load(own) as file:
        arrays = dict(file)
    meta = json.loads(arrays.pop("meta").item())
    change(meta)
    np.savez(folder / "changed.npz", meta=json.dumps(meta), **arrays)
    return folder / "changed.npz"


def test_a_file_made_of_our_own_model_is_equal_in_all_parts(own: Path) -> None:
    outcome = compare(own)
    assert outcome.equal
    assert outcome.differences.keys() == {"features", "outputs", "predictions", "losses", "gradients"}
    assert (outcome.model, outcome.source) == ("fcos_r18_fpn", "mmdetection 9.9.9")


def scaled_weight(model: Any) -> None:
    model.backbone.layer3[0].conv1.weight.data *= 1.001


def other_stride(model: Any) -> None:
    for conv in (model.backbone.layer4[0].conv1, model.backbone.layer4[0].downsample[0]):
        conv.stride = (1, 1)


def no_norm(model: Any) -> None:
    model.head.class_tower[1].norm = nn.Identity()


def other_scores(model: Any) -> None:
    model.head.center.bias.data += 0.01


def other_loss(model: Any) -> None:
    model.center_radius = 1.5


def not_a_number(model: Any) -> None:
    model.head.scales[4].data.fill_(float("nan"))


def half_gradient(model: Any) -> None:
    model.head.classify.weight.register_hook(lambda gradient: gradient * 0.999)


@pytest.mark.parametrize(
    ("sabotage", "parts"),
    [
        (scaled_weight, {"features", "outputs", "gradients"}),
        (other_stride, {"features"}),
        (no_norm, {"outputs", "losses"}),
        (other_scores, {"outputs", "predictions"}),
        (other_loss, {"losses"}),
        (not_a_number, {"outputs"}),
        (half_gradient, {"gradients"}),
    ],
)
def test_a_wrong_model_differs_where_it_is_wrong(own: Path, monkeypatch, sabotage: Callable, parts: set[str]) -> None:
    def build_wrong(*arguments: Any) -> Any:
        model = build(*arguments)
        sabotage(model)
        return model

    monkeypatch.setattr(compare_module, "build", build_wrong)
    monkeypatch.setattr(compare_module, "DRAWS", 1)
    outcome = attempt(own)
    assert not outcome.equal
    if not outcome.failed:
        assert parts <= set(outcome.wrong)
        assert outcome.verdict.startswith("DIFFERS in ")


def test_an_entry_that_nothing_looks_at_fails(own: Path, tmp_path: Path) -> None:
    with np.load(own) as file:
        arrays: dict[str, Any] = {**file, "eval/bbox_head/3.0": np.zeros(3)}
    np.savez(tmp_path / "more.npz", **arrays)
    outcome = attempt(tmp_path / "more.npz")
    assert not outcome.equal
    assert "eval/bbox_head/3.0" in outcome.verdict


def test_a_parameter_more_or_less_fails(own: Path, tmp_path: Path) -> None:
    def without(meta: dict[str, Any]) -> None:
        meta["state"] = [row for row in meta["state"] if "layer1.0.bn2.weight" not in row[0]]

    outcome = attempt(changed(own, tmp_path, without))
    assert outcome.verdict.startswith("FAILS: CheckpointError")


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("model_cfg", "type"), "YOLOX", "type = YOLOX"),
        (("model_cfg", "backbone", "depth"), 34, "fcos_r34_fpn"),
        (("model_cfg", "backbone", "dcn"), {"type": "DCN"}, "backbone.dcn = DCN"),
        (("model_cfg", "neck", "type"), "PAFPN", "neck.type = PAFPN"),
        (("model_cfg", "bbox_head", "norm_on_bbox"), True, "bbox_head.norm_on_bbox = True"),
        (("model_cfg", "bbox_head", "loss_cls", "gamma"), 1.5, "bbox_head.loss_cls.gamma = 1.5"),
        (("source",), "arcface", "nothing of arcface"),
    ],
)
def test_a_model_that_is_lacking_is_named(own: Path, tmp_path: Path, place: tuple, value: Any, named: str) -> None:
    def change(meta: dict[str, Any]) -> None:
        for key in place[:-1]:
            meta = meta[key]
        meta[place[-1]] = value

    outcome = compare(changed(own, tmp_path, change))
    assert outcome.verdict == f"no such model yet: {named}"


def test_a_broken_file_is_named(own: Path, tmp_path: Path) -> None:
    whole = own.read_bytes()
    np.savez(tmp_path / "objects.npz", meta=np.array([{"source": "mmdet"}], dtype=object))
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "words.npz", meta="not json")
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "page.npz").write_text("<html>404</html>")
    (tmp_path / "empty.npz").touch()
    files = golden_files(tmp_path)
    assert len(files) == 6
    for path in files:
        with pytest.raises(DataError, match=f"^{path}: (no golden file|not a readable .npz file)"):
            Golden.read(path)


def test_the_command_prints_a_row_for_each_file(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "deep").mkdir()
    shutil.copy(own, tmp_path / "deep" / "own.npz")
    changed(own, tmp_path, lambda meta: meta["model_cfg"].update(type="YOLOX"))
    assert command.main([str(tmp_path), "--no-peers"]) == 0
    out = capsys.readouterr().out
    assert "deep/own" in out
    assert "no such model yet: type = YOLOX" in out
    assert "1 equal, 0 differ, 1 without a model here, 0 unreadable" in out
    (tmp_path / "page.npz").write_text("<html>404</html>")
    assert command.main([str(tmp_path), "--no-peers"]) == 1
    assert str(tmp_path / "page.npz") in capsys.readouterr().err


def test_a_folder_without_files_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert command.main([str(tmp_path)]) == 2
    assert "holds no .npz file" in capsys.readouterr().err
    assert command.main([str(tmp_path / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_a_backbone_that_is_not_the_librarys_differs() -> None:
    """The same parameters, but the stride in the 1x1 convolutions."""
    row = BY_NAME["resnet50"]
    apart = {
        in_3x3: worst(
            difference(found, expected)
            for _, found, expected in classifiers.compare(row, row.peers[0], [(64, 96)], stride_in_3x3=in_3x3)
        )
        for in_3x3 in (True, False)
    }
    assert apart[True] < 1e-6
    assert apart[False] > 0.1


def test_peers_follow_from_names() -> None:
    found = {(peer.theirs, peer.ours) for peer in peers("torchvision")}
    assert {("fasterrcnn_resnet50_fpn", "faster_rcnn_r50_fpn"), ("resnet50", "resnet50")} <= found
    assert list(peers("no_such_library")) == []


def test_a_pattern_passes_over_nothing() -> None:
    pattern = {"type": "A", "depth": ANY, "part": {"type": "B", "width": 3}, "kind": frozenset({"x", "y"})}
    config = {"type": "A", "depth": 50, "part": {"type": "B"}, "kind": "y"}
    assert list(unlike(config, pattern)) == []
    other = copy.deepcopy(config) | {"part": {"type": "C", "width": 3}, "kind": "z", "more": [{"type": "D"}]}
    assert list(unlike(other, pattern)) == ["part.type = C", "kind = z", "more = [D]"]
    assert list(unlike({"type": "A", "kind": "x"}, pattern)) == ["no part"]
    assert list(unlike([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 1}], "heads")) == ["heads.1.a = 2"]


def test_rows_are_matched_one_to_one_in_any_order() -> None:
    rows = np.random.RandomState(0).standard_normal((20, 4))
    order = np.random.RandomState(1).permutation(20)
    apart, partner = matched(rows, rows[order], np.ones(4))
    assert apart == 0
    assert (order[partner] == np.arange(20)).all()
    assert matched(rows, np.tile(rows[:1], (20, 1)), np.ones(4))[0] > 1, "one row does not stand for many"
    assert matched(rows, rows[:19], np.ones(4))[0] == float("inf")
    assert matched(rows, rows * np.nan, np.ones(4))[0] > 1


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1e-6, "1e-06"), (1.01e-6, "2e-06"), (9.5e-7, "1e-06"), (float("inf"), "inf")]
)
def test_differences_are_rounded_up(value: float, text: str) -> None:
    assert rounded(value) == text


def test_what_is_not_a_number_is_the_worst() -> None:
    assert worst([0.0, float("nan"), 1.0]) == float("inf")
    assert worst([]) == 0


def test_a_row_is_found_on_the_page_whatever_its_figures() -> None:
    row = Outcome("mmdet/a", "mmdetection 3.3.0", "a_r50", {"radius": 1.5}, {"features": 3e-7, "losses": 0.0})
    text = page([row, Outcome("yolo/b", "yolo", lacking="nothing of yolo")], [])
    assert table([row]) in text
    assert "- yolo: b" in text
    again = Outcome("mmdet/a", "mmdetection 3.4.1", "a_r50", {"radius": 1.5}, {"features": 8e-7, "losses": 2e-7})
    assert is_on_page(again, text)
    assert not is_on_page(Outcome("mmdet/a", "mmdetection 3.3.0", "a_r50", {}, {"features": 3e-7}), text)
    assert not is_on_page(Outcome("mmdet/a", "mmdetection 3.3.0", "a_r50", {"radius": 1.5}, {"features": 1.0}), text)
