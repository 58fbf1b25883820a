"""What a file says of its model comes back as it was said, and what cannot be read is told with its mend."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import baimu
from baimu.errors import BaimuError, CheckpointError
from baimu.preprocess import preprocess_from_dict
from baimu.runtimes import session
from baimu.runtimes.card import FORMAT, KEY, Card
from baimu.runtimes.exported import InGraph, open_exported
from baimu.runtimes.session import RUNTIMES, format_of
from tests.deploy.models import FREE, classifier, detector

CARD = Card(
    task="detection",
    classes=("bolt", "螺母", 'a "quoted" name'),
    preprocess=FREE.to_dict(),
    outputs=("boxes", "scores", "labels", "counts"),
    takes_sizes=True,
    facts={"iou_threshold": 0.5, "needs_masks": False},
    model=("fcos_r18_fpn", {"num_classes": 3}),
    precision="int8",
    fixed_size=(64, None),
    licence="MIT",
    version="1.2",
)


def test_a_card_comes_back_as_it_was() -> None:
    again = Card.from_json(CARD.to_json(), "it")
    assert preprocess_from_dict(again.preprocess) == FREE
    assert replace(again, preprocess=CARD.preprocess) == CARD


def test_a_card_of_a_later_format_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"written by baimu 1\.2, later than this one; update baimu"):
        Card.from_json(replace(CARD, format=FORMAT + 1).to_json(), "it")


@pytest.mark.parametrize("text", ["{", "[]", '{"task": "detection"}', '{"format": "x"}', "null"])
def test_a_card_that_cannot_be_read_is_said_to_be(text: str) -> None:
    with pytest.raises(CheckpointError, match="it: what it says of its model cannot be read"):
        Card.from_json(text, "it")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small classifier in every format that takes seconds."""
    folder = tmp_path_factory.mktemp("files")
    formats = [name for name in RUNTIMES if name != "aotinductor"]
    model = classifier()
    model.classes = (*CARD.classes, "washer")
    return {
        name: baimu.export(model, folder / f"it{RUNTIMES[name].suffix}", format=name, verify=False, licence="CC-BY-4.0")
        for name in formats
    }


FORMATS = [name for name in RUNTIMES if name != "aotinductor"]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_carries_the_card(files: dict[str, Path], format: str) -> None:
    exported, model = baimu.load(files[format]), classifier()
    assert exported.classes == (*CARD.classes, "washer")
    assert exported.card.licence == "CC-BY-4.0"
    assert exported.card.fixed_size == (64, 64)
    assert exported.preprocess == InGraph.of(model.preprocess)
    assert (exported.task, exported.multi_label) == (model.task, False)


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_file_is_said_to_be(files: dict[str, Path], format: str, tmp_path: Path) -> None:
    whole = files[format].read_bytes()
    cut = tmp_path / files[format].name
    for damaged in (whole[: len(whole) // 2], b"nothing of the kind", b""):
        cut.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=cut.name):
            open_exported(cut)


def test_openvino_without_its_weights_is_said_to_be_damaged(files: dict[str, Path], tmp_path: Path) -> None:
    alone = Path(shutil.copy(files["openvino"], tmp_path))
    with pytest.raises(CheckpointError, match=r"it\.xml"):
        open_exported(alone)


def test_a_foreign_file_is_not_taken_for_ours(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "foreign", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(tmp_path / "foreign.onnx"))
    with pytest.raises(CheckpointError, match="was not exported by baimu"):
        baimu.load(tmp_path / "foreign.onnx")
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(tmp_path / "foreign.torchscript"))
    with pytest.raises(CheckpointError, match="was not exported by baimu"):
        baimu.load(tmp_path / "foreign.torchscript")


def test_a_task_of_another_version_is_told(files: dict[str, Path], tmp_path: Path) -> None:
    proto = onnx.load(str(files["onnx"]))
    card = json.loads({p.key: p.value for p in proto.metadata_props}[KEY])
    helper.set_model_props(proto, {KEY: json.dumps(card | {"task": "mind_reading"})})
    onnx.save(proto, str(tmp_path / "it.onnx"))
    with pytest.raises(CheckpointError, match="'mind_reading', which this version of baimu does not know"):
        baimu.load(tmp_path / "it.onnx")


def test_what_is_no_exported_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no exported file; these end with"):
        open_exported(tmp_path / "it.tflite")
    with pytest.raises(CheckpointError, match="there is no such file"):
        open_exported(tmp_path / "it.onnx")
    assert format_of("a/b.aoti.pt2") == "aotinductor"
    assert format_of("a/b.pt2") == "torch"
    assert format_of("a/b.safetensors") is None


def test_loading_takes_no_options_of_networks(files: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match="leave classes away"):
        baimu.load(files["onnx"], classes=3)


def test_what_the_graph_holds_cannot_be_set(tmp_path: Path) -> None:
    path = baimu.export(detector(), tmp_path / "it.onnx", size=64, verify=False)
    exported = baimu.load(path)
    image = np.zeros((64, 64, 3), np.uint8)
    for option, value in (("iou_threshold", 0.9), ("max_detections", 3), ("score_threshold", 0.001)):
        with pytest.raises(BaimuError, match=f"{option}={value} cannot be had of this file, whose graph holds"):
            exported.predict(image, **{option: value})
    assert exported.iou_threshold == 0.5
    exported.predict(image, score_threshold=0.5, iou_threshold=0.5)  # higher is a matter of leaving out


def test_another_device_is_the_runtimes_business(files: dict[str, Path]) -> None:
    exported = baimu.load(files["onnx"])
    assert exported.to("cpu") is exported
    with pytest.raises(BaimuError, match="this ONNX Runtime computes on"):
        exported.to("tpu")
    with pytest.raises(BaimuError, match="OpenVINO computes on"):
        open_exported(files["openvino"], device="tpu")
    with pytest.raises(BaimuError, match="runs MNN on the CPU"):
        open_exported(files["mnn"], device="cuda")


@pytest.mark.parametrize(("name", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino"), ("mnn", "MNN")])
def test_an_absent_runtime_names_the_line_that_installs_it(
    files: dict[str, Path], name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "is_installed", lambda one: one != package)
    with pytest.raises(BaimuError, match=rf"{name} needs {package}; install it with: pip install 'baimu\[{name}\]'"):
        baimu.load(files[name])
    monkeypatch.setattr(session, "is_installed", lambda one: one != "onnxscript")
    with pytest.raises(BaimuError, match=rf"{name} needs onnxscript; install it with: pip install 'baimu\[{name}\]'"):
        baimu.export(classifier(), format=name)
    assert baimu.load(files[name]).classes  # to open it, what writes is not needed
