"""What people have is read exactly: tensors bit for bit, what stands beside them as plain values; the rest is named."""

from __future__ import annotations

import argparse
import bz2
import collections
import datetime
import gzip
import io
import json
import lzma
import os
import pathlib
import pickle
import re
import sys
import tarfile
import threading
import types
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from baimu.errors import CheckpointError
from baimu.weights.allowed import ALLOWED
from baimu.weights.archive import write_archive
from baimu.weights.stored import Stored, read_stored
from baimu.weights.unwrap import without_prefix
from tests.weights.pickles import Op, array, name, of, pickled, raw

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.tensor([1.5, -2.5])}
FORMS = [(zipped, protocol) for zipped in (True, False) for protocol in (2, 3, 4, 5)]


def saved(value: Any, path: Path, *, zipped: bool = True, protocol: int = 2) -> Stored:
    torch.save(value, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    return read_stored(path)


def same(found: dict[str, Tensor], expected: dict[str, Any]) -> None:
    """Equal in names, order, types, shapes, strides and bits."""
    assert list(found) == list(expected)
    for key, tensor in found.items():
        assert tensor.dtype == expected[key].dtype, key
        assert tensor.shape == expected[key].shape, key
        assert tensor.stride() == expected[key].stride() or tensor.numel() <= 1, key
        assert bits(tensor) == bits(expected[key]), key
        assert not tensor.requires_grad
        assert tensor.device.type == "cpu"


def bits(tensor: Tensor) -> bytes:
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


@contextmanager
def pretend(module: str, qualified: str, **members: Any) -> Iterator[type]:
    """A class of a library that is not installed, while a file is written; gone when it is read."""
    names = [".".join(module.split(".")[: i + 1]) for i in range(module.count(".") + 1)]
    added = [n for n in names if n not in sys.modules]
    sys.modules.update({n: types.ModuleType(n) for n in added})
    bases = members.pop("bases", ())
    made = type(qualified, bases, {"__module__": module, "__qualname__": qualified} | members)
    setattr(sys.modules[module], qualified, made)
    try:
        yield made
    finally:
        delattr(sys.modules[module], qualified)
        for n in added:
            del sys.modules[n]


# Tensors ------------------------------------------------------------------------------------------------------------

DTYPES = [
    getattr(torch, d)
    for d in ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
]
DTYPES += [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2]


@pytest.mark.parametrize(("zipped", "protocol"), FORMS)
def test_every_type_and_layout_of_torch(tmp_path: Path, zipped: bool, protocol: int) -> None:
    whole = torch.randn(4, 6, 3, 2)
    tensors = {str(d): (torch.randn(5) * 9).abs().to(torch.float32).to(d) for d in DTYPES}
    tensors |= {
        "complex64": torch.randn(3, dtype=torch.complex64),
        "complex128": torch.randn(3, dtype=torch.complex128),
        "channels last": whole.to(memory_format=torch.channels_last),
        "transposed": whole.transpose(0, 1),
        "a slice": whole[1:3, ::2],
        "expanded": torch.randn(3, 1).expand(3, 5),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "empty within": torch.zeros(3, 0, 2, dtype=torch.int64),
        "not a number": torch.tensor([float("nan"), float("inf"), -0.0]),
        "parameter": nn.Parameter(torch.randn(2, 2)),
    }
    stored = saved(dict(tensors), tmp_path / "a.pth", zipped=zipped, protocol=protocol)
    same(stored.tensors, tensors)
    assert stored.kind == "torch"
    assert stored.path == tmp_path / "a.pth"
    assert stored.about == {}


@pytest.mark.parametrize("zipped", [True, False])
def test_shared_tensors_stay_shared(tmp_path: Path, zipped: bool) -> None:
    whole = torch.randn(10)
    state = {"whole": whole, "same": whole, "part": whole[2:5], "other": whole.clone()}
    tensors = saved(state, tmp_path / "a.pth", zipped=zipped).tensors
    same(tensors, state)
    tensors["whole"][3] = 77.0
    assert tensors["same"][3] == tensors["part"][1] == 77.0
    assert tensors["other"][3] != 77.0


def test_a_parameter_with_attributes_is_its_tensor(tmp_path: Path) -> None:
    parameter, marked = nn.Parameter(torch.randn(2)), torch.randn(3)
    parameter.note, marked.note = "mine", {"a": 1}  # type: ignore[attr-defined]
    same(saved({"a": parameter, "b": marked}, tmp_path / "a.pth").tensors, {"a": parameter, "b": marked})


@pytest.mark.parametrize("build", [torchvision.models.resnet18, torchvision.models.mobilenet_v3_small])
def test_a_torchvision_model(tmp_path: Path, build: Any) -> None:
    model = build(weights=None)
    for zipped in (True, False):
        stored = saved(model.state_dict(), tmp_path / "model-5c106cde.pth", zipped=zipped)
        same(stored.tensors, model.state_dict())
        assert stored.about == {}
    build(weights=None).load_state_dict(stored.tensors)


@pytest.mark.parametrize(
    "code", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "u4", "u8", "b1", "c8", "c16", ">f4"]
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_type_of_numpy(tmp_path: Path, code: str, protocol: int) -> None:
    numbers = (np.random.default_rng(0).random((3, 4, 2)) * 9).astype(code)
    arrays = {
        "c": numbers,
        "fortran": np.asfortranarray(numbers),
        "scalar": np.array(numbers[0, 0, 0]),
        "none": numbers[:0],
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": arrays}, protocol))
    stored = read_stored(tmp_path / "a.pkl")
    assert stored.kind == "pickle"
    for key, values in arrays.items():
        native = values.astype(values.dtype.newbyteorder("="))
        assert stored.tensors[key].numpy().dtype == native.dtype
        np.testing.assert_array_equal(stored.tensors[key].numpy(), native)


def test_safetensors(tmp_path: Path) -> None:
    tensors = {str(d): (torch.randn(2, 3) * 9).abs().to(d) for d in DTYPES} | {
        "e": torch.zeros(0, 2),
        "s": torch.tensor(1.5),
    }
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt", "epoch": "3"})
    stored = read_stored(tmp_path / "model.safetensors")
    same({k: stored.tensors[k] for k in tensors}, tensors)
    assert set(stored.tensors) == set(tensors)
    assert stored.about == {"format": "pt", "epoch": "3"}
    assert stored.kind == "safetensors"
    stored.tensors["s"] += 1  # writable memory of its own


@pytest.mark.parametrize("length", [ord("{"), ord("["), ord("<"), 0x0280, 0x0480, 0x4B50, 0x8B1F])
def test_the_length_of_a_safetensors_header_is_not_taken_for_another_form(tmp_path: Path, length: int) -> None:
    """Its first bytes are then those of JSON, HTML, a pickle, a zip archive or gzip."""
    text = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'.ljust(length)
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\x07")
    assert read_stored(tmp_path / "a.safetensors").tensors["a"].tolist() == [7]


def test_our_own_checkpoint_is_a_safetensors_file(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.safetensors", STATE, {"classes": ["a"]})
    stored = read_stored(tmp_path / "a.safetensors")
    assert {k: v.tolist() for k, v in stored.tensors.items()} == {k: v.tolist() for k, v in STATE.items()}
    assert json.loads(stored.about["baimu"]) == {"classes": ["a"]}


# What frameworks write ----------------------------------------------------------------------------------------------


def history(**more: Any) -> dict[str, Any]:
    """mmengine's HistoryBuffer: its statistics are methods, which protocol 2 writes as ``getattr``."""

    def getstate(self: Any) -> dict[str, Any]:
        return self.__dict__ | {"statistics_methods": {"mean": type(self).mean, "min": type(self).min}}

    def method(word: str) -> Any:
        def statistic(self: Any) -> None: ...

        statistic.__name__, statistic.__qualname__ = word, f"HistoryBuffer.{word}"
        statistic.__module__ = "mmengine.logging.history_buffer"
        return statistic

    return {"__getstate__": getstate, "mean": method("mean"), "min": method("min")} | more


@pytest.mark.parametrize("protocol", [2, 4])
def test_openmmlab_of_today(tmp_path: Path, protocol: int) -> None:
    with pretend("mmengine.logging.history_buffer", "HistoryBuffer", **history()) as HistoryBuffer:
        buffer = HistoryBuffer()
        buffer._log_history, buffer._count_history, buffer._max_length = np.zeros(400), np.ones(400), 1000000
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(3))], 0.02, momentum=0.9)
        checkpoint = {
            "meta": {
                "epoch": 12,
                "iter": np.int64(87960),
                "cfg": "model = dict(type='FCOS')\n",
                "seed": 428,
                "experiment_name": "fcos_20220101",
                "time": "20220101_000000",
                "mmengine_version": "0.7.1",
                "dataset_meta": {"classes": ("cat", "dog"), "palette": [(220, 20, 60), (119, 11, 32)]},
            },
            "state_dict": collections.OrderedDict(STATE),
            "ema_state_dict": collections.OrderedDict({f"module.{k}": v + 1 for k, v in STATE.items()}),
            "message_hub": {
                "log_scalars": collections.OrderedDict({"train/loss": buffer}),
                "runtime_info": collections.OrderedDict(epoch=12, last=np.float32(0.5)),
                "resumed_keys": collections.OrderedDict({"train/loss": True}),
            },
            "optimizer": optimizer.state_dict(),
            "param_schedulers": [{"base_values": [0.02], "last_step": 12}],
        }
        torch.save(checkpoint, tmp_path / "epoch_12.pth", pickle_protocol=protocol)
    stored = read_stored(tmp_path / "epoch_12.pth")
    same(stored.tensors, STATE)  # here the average is what state_dict holds
    meta = stored.about["meta"]
    assert meta["dataset_meta"] == {"classes": ["cat", "dog"], "palette": [[220, 20, 60], [119, 11, 32]]}
    assert (meta["epoch"], meta["iter"], type(meta["iter"])) == (12, 87960, int)
    hub = stored.about["message_hub"]
    assert hub["log_scalars"] == {"train/loss": "<mmengine.logging.history_buffer.HistoryBuffer>"}
    assert hub["runtime_info"] == {"epoch": 12, "last": 0.5}
    assert stored.about["optimizer"]["param_groups"][0]["lr"] == 0.02
    same(read_stored(stored.path, part="ema_state_dict").tensors, {k: v + 1 for k, v in STATE.items()})


def test_openmmlab_of_old(tmp_path: Path) -> None:
    """mmcv 1: CLASSES in meta, a Config object in place of text, DataParallel's prefix, the older container."""
    config = {"__getstate__": lambda self: (self.inner, "a.py", "model = …")}
    with (
        pretend("mmcv.utils.config", "ConfigDict", bases=(dict,)) as ConfigDict,
        pretend("mmcv.utils.config", "Config", **config) as Config,
    ):
        holder = Config()
        holder.inner = ConfigDict(model=ConfigDict(type="RetinaNet", depth=50))
        meta = {
            "CLASSES": ("person", "car"),
            "PALETTE": None,
            "config": holder,
            "hook_msgs": {},
            "mmdet_version": "2.25.0",
        }
        checkpoint = {"meta": meta, "state_dict": {f"module.{k}": v for k, v in STATE.items()}}
        torch.save(checkpoint, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    stored = read_stored(tmp_path / "a.pth")
    same(stored.tensors, STATE)
    assert stored.about["meta"]["CLASSES"] == ["person", "car"]
    assert stored.about["meta"]["config"] == {"model": {"type": "RetinaNet", "depth": 50}}


def test_timm(tmp_path: Path) -> None:
    """Its training script: arguments as a namespace, an average beside the last parameters."""
    average = {k: v * 2 for k, v in STATE.items()}
    args = argparse.Namespace(model="resnet50", lr=0.05, mean=[0.5, 0.5, 0.5], output=Path("/tmp/x"))
    checkpoint = {"epoch": 9, "arch": "resnet50", "state_dict": STATE, "version": 2, "args": args, "metric": 71.5}
    checkpoint |= {
        "state_dict_ema": average,
        "amp_scaler": {"scale": 65536.0},
        "optimizer": {"state": {}, "param_groups": []},
    }
    stored = saved(checkpoint, tmp_path / "model_best.pth.tar")
    same(stored.tensors, average)
    assert stored.about["args"] | {"output": ""} == {
        "model": "resnet50",
        "lr": 0.05,
        "mean": [0.5, 0.5, 0.5],
        "output": "",
    }
    assert stored.about["args"]["output"] in ("<pathlib.PosixPath>", "<pathlib._local.PosixPath>")
    assert stored.about["state_dict"] == "<2 tensors; read_stored(path, part='state_dict') reads them>"
    same(read_stored(stored.path, part="state_dict").tensors, STATE)
    assert read_stored(stored.path, part="state_dict").about["metric"] == 71.5


def test_hugging_face(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).half()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    save_file(model.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    for file in ("pytorch_model.bin", "model.safetensors"):
        found = read_stored(tmp_path / file).tensors
        same({k: found[k] for k in model.state_dict()}, model.state_dict())
    index = {"metadata": {"total_size": 9}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"index of a model in several files \(model-00001.*max_shard_size"):
        read_stored(tmp_path / "model.safetensors.index.json")
    with pytest.raises(CheckpointError, match=r"it holds model\.safetensors, pytorch_model\.bin.*give the file itself"):
        read_stored(tmp_path)


@pytest.mark.parametrize(
    "module",
    ["pytorch_lightning.utilities.parsing", "lightning.fabric.utilities.data", "lightning_fabric.utilities.data"],
)
def test_lightning(tmp_path: Path, module: str) -> None:
    callback = "pytorch_lightning.callbacks.model_checkpoint"
    with (
        pretend(module, "AttributeDict", bases=(dict,)) as AttributeDict,
        pretend(callback, "ModelCheckpoint") as ModelCheckpoint,
    ):
        checkpoint = {
            "epoch": 4,
            "global_step": 500,
            "pytorch-lightning_version": "2.2.0",
            "state_dict": collections.OrderedDict({f"model.{k}": v for k, v in STATE.items()}),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 5}}}},
            "callbacks": {
                "ModelCheckpoint{'monitor': 'val'}": {"best_k_models": {"/a.ckpt": torch.tensor(0.5)}, "dirpath": "/x"},
                ModelCheckpoint: {"best_model_score": torch.tensor(0.5)},
            },
            "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3}]}],
            "lr_schedulers": [],
            "hparams_name": "kwargs",
            "hyper_parameters": AttributeDict(num_classes=3, weights=torch.ones(3), since=datetime.date(2024, 1, 1)),
        }
        torch.save(checkpoint, tmp_path / "last.ckpt")
    stored = read_stored(tmp_path / "last.ckpt")
    same(stored.tensors, {f"model.{k}": v for k, v in STATE.items()})
    hyper = {"num_classes": 3, "weights": "<tensor float32 (3,)>", "since": "<datetime.date>"}
    assert stored.about["hyper_parameters"] == hyper
    callbacks = stored.about["callbacks"]
    assert callbacks[f"<{callback}.ModelCheckpoint>"] == {"best_model_score": "<tensor float32 ()>"}
    assert stored.about["optimizer_states"][0]["state"] == {"0": {"exp_avg": "<tensor float32 (2,)>"}}
    json.dumps(stored.about)


def test_omegaconf(tmp_path: Path) -> None:
    """Containers that know their parents, typed by classes of Python's."""
    node = "omegaconf.nodes"
    with (
        pretend("omegaconf.dictconfig", "DictConfig") as DictConfig,
        pretend("omegaconf.listconfig", "ListConfig") as ListConfig,
        pretend("omegaconf.base", "ContainerMetadata") as ContainerMetadata,
        pretend(node, "AnyNode") as AnyNode,
    ):

        def leaf(value: Any, parent: Any) -> Any:
            made = AnyNode()
            made.__dict__.update(_val=value, _parent=parent)
            return made

        root, inner = DictConfig(), ListConfig()
        metadata = ContainerMetadata()
        metadata.__dict__.update(ref_type=Any, object_type=dict, resolver_cache=collections.defaultdict(dict), key=None)
        inner.__dict__.update(_content=[leaf(1, inner), leaf("b", inner)], _parent=root, _metadata=metadata)
        root.__dict__.update(_content={"lr": leaf(0.1, root), "sizes": inner}, _parent=None, _metadata=metadata)
        torch.save({"model": STATE, "config": root}, tmp_path / "a.pt")
    stored = read_stored(tmp_path / "a.pt")
    same(stored.tensors, STATE)
    assert stored.about == {"config": {"lr": 0.1, "sizes": [1, "b"]}}


@pytest.mark.parametrize("module", ["yacs.config", "fvcore.common.config", "detectron2.config.config"])
def test_yacs(tmp_path: Path, module: str) -> None:
    with pretend(module, "CfgNode", bases=(dict,)) as CfgNode:
        config = CfgNode(MODEL=CfgNode(DEPTH=50))
        config.__dict__["__immutable__"] = True
        torch.save({"model": STATE, "cfg": config, "iteration": 9}, tmp_path / "model_final.pth")
    stored = read_stored(tmp_path / "model_final.pth")
    same(stored.tensors, STATE)
    assert stored.about == {"cfg": {"MODEL": {"DEPTH": 50}}, "iteration": 9}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_detectron2(tmp_path: Path, protocol: int) -> None:
    model = {k: v.numpy() for k, v in STATE.items()} | {"pixel_mean": np.array([103.53, 116.28, 123.675])}
    checkpoint = {"model": model, "__author__": "Detectron2 Model Zoo", "matching_heuristics": True}
    (tmp_path / "model_final_f10217.pkl").write_bytes(pickle.dumps(checkpoint, protocol))
    stored = read_stored(tmp_path / "model_final_f10217.pkl")
    same(stored.tensors, {k: torch.from_numpy(v) for k, v in model.items()})
    assert stored.about == {"__author__": "Detectron2 Model Zoo", "matching_heuristics": True}
    assert stored.kind == "pickle"


def test_detectron_of_python_2(tmp_path: Path) -> None:
    """The backbones of MSRA: names and bytes are Python 2's text, and the names of NumPy are old."""

    def text(data: bytes) -> Op:
        return Op(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)

    numbers = np.array([[1.5, -2.25], [3e38, 1e-38]], np.float32)
    kind = raw(name("numpy", "dtype"), of((text(b"f4"), 0, 1)), pickle.REDUCE)
    kind = raw(kind, of((3, text(b"<"), None, None, None, -1, -1, 0)), pickle.BUILD)
    made = array((1, (2, 2), kind, False, text(numbers.tobytes())))
    pairs = raw(pickle.EMPTY_DICT, pickle.MARK, text(b"conv1_w"), made, text(b"r\xe9mark"), text(b"x"), pickle.SETITEMS)
    (tmp_path / "R-50.pkl").write_bytes(pickled(raw(pickle.EMPTY_DICT, text(b"blobs"), pairs, pickle.SETITEM)))
    stored = read_stored(tmp_path / "R-50.pkl")
    same(stored.tensors, {"conv1_w": torch.from_numpy(numbers)})
    assert stored.about == {"rémark": "x"}


def test_values_of_every_allowed_kind(tmp_path: Path) -> None:
    beside = {
        "none": None,
        "numbers": (1, 2.5, True, 1 << 70),
        "scalars": [np.float32(0.5), np.int64(-3), np.bool_(True), np.float16(2), np.str_("ä")],
        "array": np.arange(6).reshape(2, 3),
        "names": np.array(["a", "bc"]),
        "large": np.zeros((300, 2)),
        "set": {1},
        "frozen": frozenset(["x"]),
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, {"k": [1]}),
        "deque": collections.deque([1, 2], 5),
        "bytes": b"abc",
        "keys": {1: "a", 2.5: "b", None: "c", False: "d"},
        "namespace": types.SimpleNamespace(a=1),
        "size": torch.Size([1, 2]),
        "type": torch.float16,
        "device": torch.device("cuda", 1),
        "time": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        "lapse": datetime.timedelta(3),
        "complex": 1j,
        "slice": slice(1, 2),
        "class": dict,
        "numpy type": np.dtype("f4"),
        "path": pathlib.PurePosixPath("a/b"),
    }
    for zipped, protocol in FORMS:
        about = saved({"model": STATE, **beside}, tmp_path / "a.pth", zipped=zipped, protocol=protocol).about
        described = {k: v for k, v in about.items() if isinstance(v, str)}
        assert {k: v for k, v in about.items() if k not in described} == {
            "none": None,
            "numbers": [1, 2.5, True, 1 << 70],
            "scalars": [0.5, -3, True, 2.0, "ä"],
            "array": [[0, 1, 2], [3, 4, 5]],
            "names": ["a", "bc"],
            "set": [1],
            "frozen": ["x"],
            "counter": {"a": 2, "b": 1},
            "default": {"k": [1]},
            "deque": [1, 2],
            "keys": {"1": "a", "2.5": "b", "None": "c", "False": "d"},
            "namespace": {"a": 1},
            "size": [1, 2],
        }
        assert {k: re.sub(r"_local\.", "", v) for k, v in described.items()} == {
            "large": "<array float64 (300, 2)>",
            "bytes": "<bytes>",
            "type": "<dtype>",
            "device": "<torch.device>",
            "time": "<datetime.datetime>",
            "lapse": "<datetime.timedelta>",
            "complex": "<builtins.complex>",
            "slice": "<builtins.slice>",
            "class": "<builtins.dict>",
            "numpy type": "<Dtype>",
            "path": "<pathlib.PurePosixPath>",
        }
        json.dumps(about)


# Finding the state dict ---------------------------------------------------------------------------------------------

WRAPPED = [
    (STATE, {}),
    ({"state_dict": STATE}, {}),
    ({"model": STATE, "epoch": 3}, {"epoch": 3}),
    ({"model_state_dict": STATE, "loss": 0.5}, {"loss": 0.5}),
    ({"params": {k: v * 0 for k, v in STATE.items()}, "params_ema": STATE}, None),
    ({"model": {"state_dict": STATE, "best": 1}, "epoch": 2}, {"best": 1, "epoch": 2}),
    ({"model": {k: v * 0 for k, v in STATE.items()}, "ema": {"module": STATE, "updates": 9}}, None),
    ({"generator": STATE, "discriminator": {"a": torch.zeros(1)}}, None),
    ({"g_ema": STATE, "g": {"a": torch.zeros(1)}, "d": {"a": torch.zeros(1)}}, None),
    ({"net": STATE, "acc": 91.0}, {"acc": 91.0}),
    ({"weights": {f"_orig_mod.module.{k}": v for k, v in STATE.items()}}, {}),
    ({"my_own_name": STATE, "step": 1}, {"step": 1}),
    ({"best_acc1": torch.tensor(71.0), "state_dict": STATE}, {"best_acc1": "<tensor float32 ()>"}),
    ({"best_acc1": torch.tensor(71.0), "my_own_name": STATE}, {"best_acc1": "<tensor float32 ()>"}),
    ({**STATE, "epoch": 3, "extra": {"note": "x"}}, {"epoch": 3, "extra": {"note": "x"}}),
    ({"state_dict": STATE, "epoch": 1, "model": {"epoch": 2}}, {"epoch": 1, "model": {"epoch": 2}}),
    ({"state_dict": {**STATE, "epoch": 2}, "epoch": 1}, {"epoch": 1, "state_dict.epoch": 2}),
]


@pytest.mark.parametrize("case", range(len(WRAPPED)))
def test_what_was_wrapped_is_found(tmp_path: Path, case: int) -> None:
    value, about = WRAPPED[case]
    stored = saved(value, tmp_path / "a.pth")
    same(stored.tensors, STATE)
    assert about is None or stored.about == about


def test_several_are_listed_and_any_can_be_had(tmp_path: Path) -> None:
    parts = {"encoder": STATE, "decoder": {"b": torch.ones(2)}, "deep": {"er": {"c": torch.zeros(3)}}}
    torch.save(parts, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"several dictionaries.*: 'encoder', 'decoder', 'deep\.er'; choose one"):
        read_stored(tmp_path / "a.pth")
    same(read_stored(tmp_path / "a.pth", part="decoder").tensors, {"b": torch.ones(2)})
    deep = read_stored(tmp_path / "a.pth", part="deep.er")
    same(deep.tensors, {"c": torch.zeros(3)})
    assert deep.about["encoder"] == "<2 tensors; read_stored(path, part='encoder') reads them>"
    with pytest.raises(CheckpointError, match="no part 'middle'; its parts are 'encoder'"):
        read_stored(tmp_path / "a.pth", part="middle")
    save_file(STATE, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="no parts such as 'x'"):
        read_stored(tmp_path / "a.safetensors", part="x")


@pytest.mark.parametrize(
    "value", [[1, 2], 3, {"a": 1, "b": [torch.zeros(2)]}, {1: torch.zeros(2)}, argparse.Namespace(a=1), {}]
)
def test_a_file_without_parameters_says_what_it_has(tmp_path: Path, value: Any) -> None:
    with pytest.raises(CheckpointError, match=r"holds no dictionary of tensors \(but .*save model.state_dict\(\)"):
        saved(value, tmp_path / "a.pth")


def test_a_prefix_is_taken_off_only_where_all_have_it() -> None:
    assert without_prefix({"module.a": 1, "module.b": 2}) == {"a": 1, "b": 2}
    assert without_prefix({"module.module.a": 1}) == {"a": 1}
    assert without_prefix({"module.a": 1, "b": 2}) == {"module.a": 1, "b": 2}
    assert without_prefix({"modules.a": 1}) == {"modules.a": 1}
    assert without_prefix({}) == {}


def test_an_archive_without_checksums(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        same(saved(STATE, tmp_path / "a.pth").tensors, STATE)
    finally:
        torch.serialization.set_crc32_options(True)


def test_what_is_not_asked_for_is_not_read(tmp_path: Path) -> None:
    """Damage in the optimiser's part of an archive, which nobody reads, is no obstacle; in the parameters it is one."""
    other = torch.full((64,), 3.25)
    torch.save({"model": STATE, "optimizer": {"state": {0: {"exp_avg": other}}}}, tmp_path / "a.pth")
    data = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(data.replace(bits(other), bytes(256)))
    same(read_stored(tmp_path / "a.pth").tensors, STATE)
    (tmp_path / "a.pth").write_bytes(data.replace(bits(STATE["layer.bias"]), bytes(8)))
    with pytest.raises(CheckpointError, match="damaged"):
        read_stored(tmp_path / "a.pth")


# Other files --------------------------------------------------------------------------------------------------------


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.pth"))
    return buffer.getvalue()


def archived(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for member in names:
            file.writestr(member, b"x")
    return buffer.getvalue()


def numpy_file(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays) if arrays else np.save(buffer, np.zeros(3))
    return buffer.getvalue()


OTHERS = {
    "empty": (b"", "is empty; download"),
    "git-lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n",
        "git-lfs pointer.*git lfs pull",
    ),
    "HTML": (b"<!DOCTYPE html>\n<html><head>", "is a web page.*download the file itself"),
    "html": (b"\n <html lang=en>", "is a web page"),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
    "JSON": (b'{"model_type": "detr", "id2label": {"0": "a"}}', "is a JSON file, perhaps a configuration"),
    "index": (b'{"weight_map": {"a": "pytorch_model-00001-of-00009.bin"}}', "index of a model in several files"),
    "text": (b"epochs: 12\nlr: 0.01\n", r"is plain text \('epochs: 12'\)"),
    "Keras, HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), r"HDF5 file \(Keras"),
    "Keras, zip": (archived("config.json", "metadata.json", "model.weights.h5"), "is a Keras file"),
    "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x032.1:" + bytes(40), "is an ONNX graph; give the PyTorch file"),
    "TFLite": (b"\x1c\x00\x00\x00TFL3" + bytes(40), "TensorFlow Lite"),
    "GGUF": (b"GGUF\x03\0\0\0" + bytes(40), "GGUF"),
    "npy": (numpy_file(), "one NumPy array"),
    "npz": (numpy_file(a=np.zeros(2)), "NumPy archive.*safetensors.numpy.save_file"),
    "tar": (tar(), "tar archive; unpack it"),
    "gzip": (gzip.compress(b"x"), "compressed with gzip; unpack it"),
    "bzip2": (bz2.compress(b"x"), "compressed with bzip2"),
    "xz": (lzma.compress(b"x"), "compressed with xz"),
    "zstd": (b"\x28\xb5\x2f\xfd\0\0", "compressed with zstd"),
    "7z": (b"7z\xbc\xaf\x27\x1c", "compressed archive"),
    "zip": (archived("weights/a.pth", "README.md"), r"zip archive of weights/a\.pth, README\.md; unpack it"),
    "empty zip": (archived(), "empty or split zip archive"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "is an image"),
    "JPEG": (b"\xff\xd8\xff\xe0", "is an image"),
    "PDF": (b"%PDF-1.7", "is a PDF"),
    "program": (b"\x7fELF\x02\x01", "is a program"),
    "noise": (bytes(range(0x90, 0xE0)) + b"\0\1\2", r"none of the files that are read.*begins with 90 91"),
    "protocol 0": (pickle.dumps({"a": 1}, 0), "pickle of protocol 0 or 1"),
    "protocol 1": (pickle.dumps({"a": 1}, 1), "pickle of protocol 0 or 1"),
}


@pytest.mark.parametrize("which", OTHERS)
def test_other_files_are_named_with_the_mend(tmp_path: Path, which: str) -> None:
    data, words = OTHERS[which]
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"a\.pth: .*{words}"):
        read_stored(tmp_path / "a.pth")


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "safetensors"])
def test_a_file_cut_short_is_damaged(tmp_path: Path, form: str, share: float) -> None:
    state = {f"layer.{i}": torch.randn(20, 20) for i in range(5)}
    path = tmp_path / ("a.safetensors" if form == "safetensors" else "a.pth")
    if form == "safetensors":
        save_file(state, path)
    elif form == "pickle":
        path.write_bytes(pickle.dumps({k: v.numpy() for k, v in state.items()}, 2))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    assert len(read_stored(path).tensors) == 5
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(CheckpointError, match=r"(damaged|cut short|none of the files).*(download|use another)"):
        read_stored(path)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch wants people to leave it
def test_torchscript(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"TorchScript archive.*torch\.jit\.load\(path\)\.state_dict"):
        read_stored(tmp_path / "a.pt")


def test_whole_models_are_refused_with_a_way_out(tmp_path: Path) -> None:
    def message(value: Any) -> str:
        with pytest.raises(CheckpointError) as error:
            saved(value, tmp_path / "a.pt")
        return str(error.value)

    assert "whole pickled model ('torch.nn.modules" in message(nn.Sequential(nn.Linear(2, 2)))
    assert "contains 'torchvision.models.resnet.ResNet'" in message({"model": torchvision.models.resnet18()})
    for module, cls, words in (
        ("ultralytics.nn.tasks", "DetectionModel", r"ultralytics model .*YOLO\(path\)\.model"),
        ("models.yolo", "Model", r"YOLOv5.*attempt_load\(path\)"),
    ):
        with pretend(module, cls, bases=(nn.Module,)) as Model:
            torch.save({"epoch": -1, "model": Model().half(), "ema": None}, tmp_path / "best.pt")
        with pytest.raises(CheckpointError, match=words):
            read_stored(tmp_path / "best.pt")


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch wants people to leave its quantised tensors
def test_tensors_that_no_model_here_has_are_named(tmp_path: Path) -> None:
    for value, words in (
        (torch.eye(3).to_sparse(), "sparse tensors.*to_dense"),
        (torch.empty(2, device="meta"), "without values"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "quantised"),
    ):
        with pytest.raises(CheckpointError, match=words):
            saved({"a": value}, tmp_path / "a.pth")


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.pth: cannot be read \(No such file"):
        read_stored(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match=r"cannot be read \(Is a directory\); give the file itself"):
        read_stored(str(tmp_path))
    with pytest.raises(CheckpointError, match="no such path"):
        read_stored("a\0b.pth")
    os.mkfifo(tmp_path / "pipe")
    waiting = threading.Thread(target=refused, args=(tmp_path / "pipe",), daemon=True)
    waiting.start()
    waiting.join(20)
    assert not waiting.is_alive(), "a pipe is not waited for"
    if os.geteuid():  # the superuser may read anything
        (tmp_path / "locked").touch(0o000)
        with pytest.raises(CheckpointError, match="Permission denied"):
            read_stored(tmp_path / "locked")


def refused(path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_stored(path)


def test_the_list_of_names_is_published() -> None:
    """docs/weights.md names what is allowed and nothing else; braces stand for several names."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    section = page.split("### The names that may occur")[1].split("\n## ")[0]
    published: set[str] = set()
    for words in re.findall(r"`([\w.{},]+\.[\w.{},]+)`", section):
        start, choices, end = re.fullmatch(r"([^{]*)(?:\{([^}]*)\})?(.*)", words).groups(default="")  # type: ignore[union-attr]
        published |= {start + choice + end for choice in choices.split(",")}
    assert published == set(ALLOWED)
