"""Files made to do harm do none: nothing of theirs runs, each is refused with an error of ours, at little cost."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle as op
import re
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

import baimu.weights
from baimu.errors import CheckpointError
from baimu.weights import pickled as pickled_module
from baimu.weights.archive import read_archive
from baimu.weights.stored import read_stored
from tests.weights.pickles import (
    SIXTEEN,
    Op,
    archive,
    array,
    build,
    call,
    dtype,
    legacy,
    name,
    of,
    pickled,
    plain,
    raw,
    safetensors,
    stack_name,
    storage,
    tensor,
    watched,
    zipped,
)

CONTAINERS: dict[str, Callable[[Any], bytes]] = {"pickle": plain, "zip": zipped, "legacy": legacy}


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Read one good file of each form, so that a module imported later is the file's doing."""
    for form, data in good_files().items():
        path = tmp_path_factory.mktemp("warm") / form
        path.write_bytes(data)
        assert read_stored(path).tensors


def good_files() -> dict[str, bytes]:
    state = {"module.a": tensor(), "module.b": tensor(None, 1, (2,), (2,)), "epoch": 3}
    names = array((1, (2,), dtype("U2", (3, "<", None, None, None, 8, 4, 8)), False, "ab\0c".encode("utf-32-le")))
    beside = {
        "names": names,
        "meta": {"CLASSES": ("a", "b"), "lr": call(name("numpy.core.multiarray", "scalar"), dtype(), SIXTEEN[:4])},
    }
    return {
        "zip": zipped({"state_dict": state, **beside}),
        "legacy": legacy({"state_dict": state, **beside}),
        "pickle": plain({"model": {"a": array(), "b": array((1, (2, 2), dtype(), True, SIXTEEN))}, **beside}),
        "safetensors": save({"a": torch.arange(4.0), "b": torch.ones(2, 3, dtype=torch.int64)}, {"format": "pt"}),
    }


def refuse(path: Path, data: bytes, match: str = ".", canary: Path | None = None) -> None:
    path.write_bytes(data)
    with watched(len(data)), pytest.raises(CheckpointError, match=match) as error:
        read_stored(path)
    assert type(error.value) is CheckpointError
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value)) < 900, "a file cannot fill the screen"
    assert canary is None or not canary.exists()


# Calls --------------------------------------------------------------------------------------------------------------


def calls(canary: str) -> dict[str, tuple[Any, ...]]:
    """Arguments by the dotted name of what is to be called with them; most would leave ``canary`` behind."""
    touch, write = f"touch {canary}", f"open({canary!r}, 'w').close()"
    return {
        "os.system": (touch,),
        "posix.system": (touch,),
        "nt.system": (touch,),
        "os.popen": (touch,),
        "os.execlp": ("touch", "touch", canary),
        "os.spawnlp": (0, "touch", "touch", canary),
        "os.posix_spawnp": ("touch", ["touch", canary], {}),
        "os.mkdir": (canary,),
        "os.remove": (canary,),
        "os.open": (canary, os.O_CREAT),
        "os.symlink": ("/", canary),
        "subprocess.Popen": (["touch", canary],),
        "subprocess.call": (["touch", canary],),
        "subprocess.run": (["touch", canary],),
        "subprocess.check_output": (["touch", canary],),
        "subprocess.getoutput": (touch,),
        "commands.getoutput": (touch,),
        "asyncio.create_subprocess_shell": (touch,),
        "multiprocessing.Process": (),
        "threading.Timer": (0, 1),
        "builtins.eval": (write,),
        "builtins.exec": (write,),
        "__builtin__.eval": (write,),
        "__builtin__.apply": (1,),
        "builtins.compile": (write, "x", "exec"),
        "builtins.open": (canary, "w"),
        "builtins.__import__": ("antigravity",),
        "builtins.getattr": (name("os", "path"), "system"),
        "builtins.setattr": (name("collections", "OrderedDict"), "x", 1),
        "builtins.globals": (),
        "builtins.breakpoint": (),
        "builtins.input": (),
        "builtins.type": ("T", (), {}),
        "builtins.map": (1, 2),
        "builtins.memoryview": (b"a",),
        "importlib.import_module": ("antigravity",),
        "importlib.machinery.SourceFileLoader": ("x", canary),
        "imp.load_source": ("x", canary),
        "zipimport.zipimporter": (canary,),
        "ctypes.CDLL": (None,),
        "_ctypes.dlopen": ("libc.so.6", 0),
        "socket.socket": (),
        "socket.create_connection": (("127.0.0.1", 9), 0.1),
        "urllib.request.urlopen": ("http://127.0.0.1:9",),
        "http.client.HTTPConnection": ("127.0.0.1", 9),
        "smtplib.SMTP": ("127.0.0.1", 9),
        "webbrowser.open": ("file:///",),
        "pty.spawn": (["touch", canary],),
        "runpy.run_path": (canary,),
        "runpy._run_code": (write, {}),
        "code.interact": (),
        "codeop.compile_command": (write,),
        "pip.main": (["--version"],),
        "pip._internal.cli.main.main": (["--version"],),
        "pydoc.pipepager": ("x", touch),
        "timeit.timeit": (write, "pass", 0, 1),
        "cProfile.run": (write,),
        "profile.run": (write,),
        "pdb.run": (write,),
        "trace.Trace": (),
        "doctest.debug_script": (write,),
        "io.open": (canary, "w"),
        "io.FileIO": (canary, "w"),
        "_io.FileIO": (canary, "w"),
        "codecs.open": (canary, "w"),
        "shutil.copy": ("/etc/hostname", canary),
        "shutil.rmtree": (canary,),
        "tempfile.mkdtemp": (),
        "pathlib.Path.touch": (call(name("pathlib", "PosixPath"), canary),),
        "logging.FileHandler": (canary,),
        "logging.config.listen": (),
        "sqlite3.connect": (canary,),
        "marshal.loads": (b"N",),
        "types.FunctionType": (1, {}),
        "types.CodeType": (),
        "operator.attrgetter": ("system",),
        "operator.methodcaller": ("system", touch),
        "functools.partial": (1,),
        "functools.reduce": (1, [1]),
        "collections.namedtuple": ("T", "a"),
        "copyreg.add_extension": ("os", "system", 240),
        "copyreg._reconstructor": (name("collections", "OrderedDict"), name("builtins", "dict"), {}),
        "pickle.loads": (b"N.",),
        "_pickle.loads": (b"N.",),
        "pickle.Unpickler": (1,),
        "dill.loads": (b"N.",),
        "cloudpickle.loads": (b"N.",),
        "joblib.load": (canary,),
        "pandas.read_pickle": (canary,),
        "yaml.unsafe_load": ("!!python/object/apply:os.system [id]",),
        "sys.exit": (),
        "signal.raise_signal": (9,),
        "faulthandler._sigsegv": (),
        "numpy.load": (canary,),
        "numpy.memmap": (canary,),
        "numpy.fromfile": (canary,),
        "numpy.lib.npyio.NpzFile": (canary, False, True),
        "numpy.ctypeslib.load_library": ("libc.so.6", "/lib"),
        "numpy.f2py.crackfortran.myeval": (write,),
        "numpy.testing._private.utils.runstring": (write, {}),
        "numpy.distutils.exec_command.exec_command": (touch,),
        "torch.load": (canary,),
        "torch.save": (1, canary),
        "torch.hub.load": ("a/b", "c"),
        "torch.hub.load_state_dict_from_url": ("http://127.0.0.1:9/a",),
        "torch.jit.load": (canary,),
        "torch.jit.unsupported_tensor_ops.execWrapper": (write, {}, {}),
        "torch.storage._load_from_bytes": (pickled(1),),
        "torch.serialization.load": (canary,),
        "torch.ops.load_library": ("libc.so.6",),
        "torch.classes.load_library": ("libc.so.6",),
        "torch.utils.cpp_extension.load": ("x", [canary]),
        "torch.utils.collect_env.run": (touch,),
        "torch.utils._config_module.ConfigModule.load_config": (b"N.",),
        "torch.utils.bottleneck.__main__.run_cprofile": (write, {}),
        "torch.distributed.distributed_c10d._object_to_tensor": (1,),
        "torch.fx.graph_module.reduce_graph_module": ({}, ""),
        "torch._dynamo.guards.GuardBuilder.get": (1, write),
        "torch._inductor.codecache.compile_file": (1,),
        "torch.package.package_importer.PackageImporter": (canary,),
        "torch.nn.modules.linear.Linear": (1, 1),
        "torch.nn.Linear": (1, 1),
        "torch.Tensor": (1 << 40,),
        "torch.FloatTensor": (1 << 40,),
        "torch.FloatStorage": (1 << 40,),
        "torch.storage.UntypedStorage": (1 << 40,),
        "torch.storage.TypedStorage": (),
        "torch.empty": (1 << 40,),
        "torch.from_file": (canary, True, 1),
        "torch._utils._rebuild_sparse_tensor": (1, (1, 2)),
        "torch._utils._rebuild_qtensor": (1, 0, (1,), (1,)),
        "torch._utils._rebuild_meta_tensor_no_storage": (1, (1,), (1,), False),
        "torch._utils._rebuild_wrapper_subclass": (1,),
        "torch._utils._rebuild_device_tensor_from_numpy": (1, 2, "cpu", False),
        "torch._utils._rebuild_nested_tensor": (1, 2, 3, 4),
        "torch._utils._import_dotted_name": ("os.system",),
        "torch._utils._get_device_module": ("os",),
        "torch.sparse._triton_ops.broadcast_batch_dims": ("x",),
        "baimu.weights.stored.read_stored": (canary,),
        "baimu.zoo.create_model": ("fcos_r50_fpn",),
        "ultralytics.nn.tasks.DetectionModel": (),
        "models.yolo.Model": (),
        "mmengine.logging.history_buffer.HistoryBuffer.__init__": (),
        "omegaconf.resolvers.oc.env": ("PATH",),
        "omegaconf.dictconfig.DictConfig.__class__": (),
        "argparse.Namespace.__class__": (),
        "collections.OrderedDict.__init__.__globals__": (),
        "": (),
        ".": (),
    }


CALLS = tuple(calls(""))


def calling(dotted: str, canary: Path) -> Op:
    module, _, attribute = dotted.rpartition(".")
    return call(name(module, attribute), *calls(str(canary))[dotted])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dotted", CALLS)
def test_nothing_is_called(tmp_path: Path, dotted: str, container: str) -> None:
    """Alone, and where a reader that looks only at the tensors would miss it."""
    canary = tmp_path / "canary"
    evil = calling(dotted, canary)
    good = {"a": array() if container == "pickle" else tensor()}
    refuse(tmp_path / "a.pth", CONTAINERS[container](evil), canary=canary)
    refuse(tmp_path / "b.pth", CONTAINERS[container]({"state_dict": good, "meta": {"x": [evil]}}), canary=canary)


REAL = (
    *("os.system", "posix.system", "os.posix_spawnp", "os.mkdir", "os.symlink", "subprocess.call", "subprocess.run"),
    *("builtins.eval", "builtins.exec", "builtins.open", "io.FileIO", "codecs.open", "shutil.copy", "pty.spawn"),
    *("cProfile.run", "runpy._run_code", "sqlite3.connect", "logging.FileHandler"),
)


def test_the_calls_are_real(tmp_path: Path) -> None:
    """Python's own unpickler runs them; otherwise the tests above would show nothing."""
    for dotted in REAL:
        (tmp_path / f"{dotted}.pkl").write_bytes(plain(calling(dotted, tmp_path / dotted)))
    program = (
        "import pickle, sys\n"
        "for path in sys.argv[1:]:\n"
        "    try: pickle.load(open(path, 'rb'))\n"
        "    except Exception as error: print(path, error)"
    )
    files = [f"{dotted}.pkl" for dotted in REAL]
    done = subprocess.run([sys.executable, "-c", program, *files], cwd=tmp_path, capture_output=True, text=True)
    assert [d for d in REAL if not os.path.lexists(tmp_path / d)] == [], done.stdout + done.stderr


def test_nothing_calls_an_unpickler() -> None:
    """No line of the room names one, so no option and no error can lead there."""
    for path in Path(baimu.weights.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
            assert not re.fullmatch(r"(pickle|op)\.\w*[a-z]\w*|(torch|np|numpy)\.load|torch\.(jit|hub)\..*", text), path
            assert text not in ("eval", "exec", "compile", "__import__"), path


# Instructions -------------------------------------------------------------------------------------------------------

ORDERED, NAMESPACE = name("collections", "OrderedDict"), name("argparse", "Namespace")
EVIL_NAME = name("os", "system")


def instructions() -> dict[str, Op]:
    big = 1 << 40
    nested: Any = []
    for _ in range(80):
        nested = [nested]
    return {
        "INST": raw(op.MARK, of("id"), b"ios\nsystem\n"),
        "OBJ": raw(op.MARK, EVIL_NAME, of("id"), op.OBJ),
        "OBJ of an allowed name": raw(op.MARK, ORDERED, op.OBJ),
        "NEWOBJ": raw(name("subprocess", "Popen"), of((["id"],)), op.NEWOBJ),
        "NEWOBJ of a mention": raw(name("torch", "Tensor"), of((big,)), op.NEWOBJ),
        "NEWOBJ of a list": raw(of([]), of(()), op.NEWOBJ),
        "NEWOBJ_EX": raw(NAMESPACE, of(()), of({}), op.NEWOBJ_EX),
        "REDUCE of a text": raw(of("os.system"), of(("id",)), op.REDUCE),
        "REDUCE with a list": raw(ORDERED, of([]), op.REDUCE),
        "REDUCE of what was made": raw(call(NAMESPACE), of(()), op.REDUCE),
        "REDUCE of a type of numbers": raw(name("torch", "float32"), of(()), op.REDUCE),
        "BUILD of a name": build(ORDERED, (None, {"__init__": 1})),
        "BUILD of a function": build(name("torch._utils", "_rebuild_tensor_v2"), (None, {"__code__": 1})),
        "BUILD of a list": build(of([]), {"append": 1}),
        "BUILD of a tensor": build(tensor(), (storage(), 0, (4,), (1,))),
        "BUILD twice": build(build(call(NAMESPACE), {"a": 1}), {"__class__": 1}),
        "BUILD of a type twice": build(dtype(), (3, "<", None, None, None, -1, -1, 0)),
        "BUILD of an array twice": build(array(), (1, (4,), dtype(), False, bytes(16))),
        "BUILD with __setstate__": build(call(EVIL_NAME, "id"), {"__setstate__": EVIL_NAME}),
        "SETITEM of a name": raw(ORDERED, of("x"), of(1), op.SETITEM),
        "SETITEM of a list": raw(of([1]), of(0), of(1), op.SETITEM),
        "SETITEMS, odd": raw(of({}), op.MARK, of("x"), op.SETITEMS),
        "SETITEM under a list": raw(of({}), of([]), of(1), op.SETITEM),
        "SETITEM under a tuple": raw(of({}), of((1, 2)), of(1), op.SETITEM),
        "SETITEM under a huge number": raw(of({}), of((1 << 61) - 1 << 8), of(1), op.SETITEM),
        "APPEND to a dictionary": raw(of({}), of(1), op.APPEND),
        "APPEND to an object": raw(call(NAMESPACE), of(1), op.APPEND),
        "APPENDS to a tuple": raw(of((1,)), op.MARK, of(1), op.APPENDS),
        "ADDITEMS to a name": raw(ORDERED, op.MARK, of(1), op.ADDITEMS),
        "EXT1": raw(op.EXT1, b"\xf0"),
        "EXT2": raw(op.EXT2, b"\xf0\xf0"),
        "EXT4": raw(op.EXT4, b"\xf0\xf0\xf0\x00"),
        "PERSID": raw(op.PERSID, b"os.system\n"),
        "BINPERSID of a text": raw(of("os.system"), op.BINPERSID),
        "BINPERSID of a module": raw(of(("module", EVIL_NAME, "a.py", "import os")), op.BINPERSID),
        "BINPERSID with an evil class": raw(of(("storage", EVIL_NAME, "0", "cpu", 4)), op.BINPERSID),
        "BINPERSID with an allowed class": raw(of(("storage", ORDERED, "0", "cpu", 4)), op.BINPERSID),
        "GLOBAL without end": Op(b"cos"),
        "GLOBAL of a mile": Op(b"c" + b"a" * 5000 + b"\nb\n"),
        "GLOBAL not text": Op(b"c\xff\xfe\n\xff\n"),
        "GLOBAL with a dot": name("os", "path.os.system"),
        "GLOBAL relative": name(".os", "system"),
        "GLOBAL with a space": name("os ", "system"),
        "GLOBAL with a null": Op(b"cos\0\nsystem\n"),
        "GLOBAL through an allowed module": name("argparse", "_sys.modules"),
        "GLOBAL through a private name": name("collections", "_sys"),
        "GLOBAL subclasses": name("builtins", "object.__subclasses__"),
        "STACK_GLOBAL": stack_name("os", "system"),
        "STACK_GLOBAL with a dot": stack_name("collections", "OrderedDict.fromkeys.__self__"),
        "STACK_GLOBAL of numbers": stack_name(1, 2),
        "STACK_GLOBAL of a name": stack_name(ORDERED, "x"),
        "STACK_GLOBAL of bytes": stack_name(b"os", b"system"),
        "DUP": raw(of(1), op.DUP),
        "POP": raw(of(1), of(2), op.POP),
        "POP_MARK": raw(of(1), op.MARK, op.POP_MARK),
        "INT": Op(op.INT + b"1\n"),
        "LONG": Op(op.LONG + b"1" * 9999 + b"L\n"),
        "FLOAT": Op(op.FLOAT + b"1e999\n"),
        "STRING": Op(op.STRING + b"'a'\n"),
        "UNICODE": Op(op.UNICODE + b"a\n"),
        "GET": Op(op.GET + b"0\n"),
        "LIST": raw(op.MARK, of(1), op.LIST),
        "DICT": raw(op.MARK, of(1), of(2), op.DICT),
        "NEXT_BUFFER": Op(op.NEXT_BUFFER),
        "READONLY_BUFFER": raw(of(b"a"), op.READONLY_BUFFER),
        "protocol 255": Op(op.PROTO + b"\xff"),
        "unknown instruction": Op(b"\xfe"),
        "LONG4 of 2 GiB": Op(op.LONG4 + struct.pack("<i", (1 << 31) - 1)),
        "LONG4 below zero": Op(op.LONG4 + struct.pack("<i", -1)),
        "BINSTRING below zero": Op(op.BINSTRING + struct.pack("<i", -1)),
        "BINSTRING of 2 GiB": Op(op.BINSTRING + struct.pack("<i", (1 << 31) - 1)),
        "BINBYTES of 4 GiB": Op(op.BINBYTES + struct.pack("<I", (1 << 32) - 1)),
        "BINBYTES8 of an exabyte": Op(op.BINBYTES8 + struct.pack("<Q", 1 << 60)),
        "BINUNICODE8 of an exabyte": Op(op.BINUNICODE8 + struct.pack("<Q", 1 << 60)),
        "BYTEARRAY8 of an exabyte": Op(op.BYTEARRAY8 + struct.pack("<Q", 1 << 60)),
        "FRAME of an exabyte": Op(op.FRAME + struct.pack("<Q", 1 << 60)),
        "half a character": Op(op.BINUNICODE + struct.pack("<I", 3) + b"\xed\xa0\x80"),
        "text that is none": Op(op.BINUNICODE + struct.pack("<I", 2) + b"\xff\xff"),
        "memo at 4 billion, absent": raw(of(1), op.LONG_BINPUT, b"\xff" * 4, op.LONG_BINGET, b"\xfe" * 4),
        "memo of an empty stack": Op(op.BINPUT + b"\0"),
        "empty stack": Op(op.TUPLE3),
        "no mark": Op(op.TUPLE),
        "stack below the mark": raw(of(1), of(2), op.MARK, op.TUPLE2),
        "two objects": raw(of(1), of(2)),
        "open mark": raw(of(1), op.MARK),
        "twenty thousand marks": Op(op.MARK * 20_000),
        "deep lists": Op(op.EMPTY_LIST * 20_000 + op.APPEND * 19_999),
        "deep tuples": Op(op.EMPTY_TUPLE + op.TUPLE1 * 20_000),
        "a list in itself": raw(op.EMPTY_LIST, op.BINPUT, b"\0", op.BINGET, b"\0", op.APPEND),
    }  # fmt: skip


INSTRUCTIONS = instructions()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("which", INSTRUCTIONS)
def test_no_instruction_gets_further(tmp_path: Path, which: str, container: str) -> None:
    good = {"a": array() if container == "pickle" else tensor()}
    refuse(tmp_path / "a.pth", CONTAINERS[container](INSTRUCTIONS[which]))
    refuse(tmp_path / "b.pth", CONTAINERS[container]({"state_dict": good, "meta": INSTRUCTIONS[which]}))


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_protocols_are_named(tmp_path: Path, protocol: int) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, ("touch canary",)

    for value in (Evil(), {"a": Evil()}, [Evil()], (Evil(),)):
        refuse(tmp_path / "a.pkl", op.dumps(value, protocol), "protocol 0 or 1|plain text|none of the files")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_pickle_itself_writes(tmp_path: Path, protocol: int) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return eval, (f"open({str(tmp_path / 'canary')!r}, 'w')",)

    refuse(tmp_path / "a.pkl", op.dumps({"model": {"w": np.zeros(2)}, "x": Evil()}, protocol), "builtins.eval")
    refuse(tmp_path / "a.pkl", op.dumps({"model": Evil()}, protocol), "builtins.eval", tmp_path / "canary")


def test_steps_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickled_module, "_MOST_STEPS", 10_000)
    refuse(tmp_path / "a.pkl", pickled(Op(b"N" * 20_000)), "more than 10000 steps")


# What a few bytes would make large ------------------------------------------------------------------------------------


def laughs() -> Op:
    """Ten lists, each of ten times the one before: ten billion values for two hundred bytes."""
    parts = [of([1]), op.BINPUT, b"\0"]
    for i in range(10):
        parts += [op.EMPTY_LIST, op.MARK, *[op.BINGET + bytes([i])] * 10, op.APPENDS, op.BINPUT, bytes([i + 1])]
    return raw(op.EMPTY_LIST, op.MARK, *parts, op.APPENDS)


def repeated(first: Op, again: Callable[[Op], Op], times: int = 2000) -> Op:
    """``again`` applied to what the memo holds, many times."""
    kept = raw(first, op.BINPUT, b"\0")
    return raw(op.EMPTY_LIST, op.MARK, kept, *(again(Op(op.BINGET + b"\0")) for _ in range(times)), op.APPENDS)


def tree() -> Op:
    """Four floors of dictionaries, each a hundred times the one below: a hundred million ways down."""
    floor = of({"a": array()})
    for i in range(4):
        kept = raw(floor, op.BINPUT, bytes([i]))
        again = [of(str(n)) + op.BINGET + bytes([i]) for n in range(1, 100)]
        floor = raw(op.EMPTY_DICT, op.MARK, of("0"), kept, *again, op.SETITEMS)
    return floor


ENCODE, SET = name("_codecs", "encode"), name("builtins", "set")
BOMBS = {
    "laughs": laughs(),
    "text copied": repeated(of("a" * 20_000), lambda kept: call(ENCODE, kept, "latin1")),
    "dictionary copied": repeated(of({str(i): i for i in range(3000)}), lambda kept: call(ORDERED, kept)),
    "pairs copied": repeated(of([(str(i), i) for i in range(3000)]), lambda kept: call(ORDERED, kept)),
    "small arrays": repeated(array((1, (500,), dtype("f8"), False, bytes(4000))), lambda kept: kept, 20_000),
    "text as bytes": repeated(
        raw(op.BINSTRING, struct.pack("<i", 20_000), bytes(20_000)),
        lambda kept: array((1, (5000,), dtype(), False, kept)),
        500,
    ),
    "set copied": repeated(of([*range(3000)]), lambda kept: call(SET, kept)),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("which", BOMBS)
def test_bombs_do_not_go_off(tmp_path: Path, which: str, container: str) -> None:
    good = {"a": array() if container == "pickle" else tensor()}
    data = CONTAINERS[container]({"state_dict": good, "x": BOMBS[which]})
    refuse(tmp_path / "a.pth", data, "describes far more than it holds|holds over 100000 values")


def test_few_dictionaries_do_not_become_many(tmp_path: Path) -> None:
    refuse(tmp_path / "a.pkl", plain({"state_dict": tree()}), "dictionaries of over 200000 entries")


def test_a_prefix_is_not_taken_off_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(plain({"module." * 100_000: array()}))
    with watched(1_000_000):
        assert len(read_stored(tmp_path / "a.pkl").tensors) == 1


def test_an_archive_of_many_parts(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = archive([(f"a/data/{n}", b"") for n in range(3000)] + [("a/data/2999", b""), ("a/data.pkl", GOOD)])
    refuse(tmp_path / "a.pth", data, "twice")


def test_arrays_that_share_their_bytes_do_not_multiply(tmp_path: Path) -> None:
    state = (1, (25_000,), dtype(), False, Op(op.BINGET + b"\0"))
    arrays = {f"a{i}": array(state) for i in range(1000)}
    kept = raw(of(bytes(100_000)), op.BINPUT, b"\0")
    refuse(tmp_path / "a.pkl", plain({"keep": kept, "model": arrays}), "more arrays than it holds")


# Tensors and arrays -------------------------------------------------------------------------------------------------

HUGE = 1 << 62
TENSORS = {
    "beyond its storage": tensor(None, 0, (5,), (1,)),
    "offset beyond": tensor(None, 4, (1,), (1,)),
    "offset below zero": tensor(None, -1, (1,), (1,)),
    "stride beyond": tensor(None, 0, (2,), (4,)),
    "stride below zero": tensor(None, 3, (2,), (-1,)),
    "shape below zero": tensor(None, 0, (-4,), (1,)),
    "shape of truth": tensor(None, 0, (True, 4), (4, 1)),
    "shape of fractions": tensor(None, 0, (4.0,), (1,)),
    "shape not of numbers": tensor(None, 0, ("4",), (1,)),
    "shape a list": tensor(None, 0, [4], [1]),
    "fewer strides": tensor(None, 0, (2, 2), (1,)),
    "huge": tensor(None, 0, (HUGE,), (1,)),
    "huge without strides": tensor(None, 0, (1 << 30, 1 << 20), (0, 0)),
    "huge and empty": tensor(None, 0, (0, HUGE), (0, 0)),
    "overflowing": tensor(None, 0, (1 << 32, 1 << 32), (0, 0)),
    "huge offset": tensor(None, 1 << 200, (1,), (1,)),
    "of a hundred dimensions": tensor(None, 0, (1,) * 100, (1,) * 100),
    "of a text": tensor("0"),
    "of a name": tensor(ORDERED),
    "of a class": tensor(name("torch", "FloatStorage")),
    "of raw bytes": tensor(b"0000000000000000"),
    "without type": tensor(storage(kind="UntypedStorage")),
    "conjugate": tensor(None, 0, (4,), (1,), False, {}, {"conj": True}),
    "without arguments": call(name("torch._utils", "_rebuild_tensor_v2")),
    "a parameter of text": call(name("torch._utils", "_rebuild_parameter"), "a", True, {}),
    "a parameter of nothing": call(name("torch._utils", "_rebuild_parameter")),
    "version 3 with an evil type": call(
        name("torch._utils", "_rebuild_tensor_v3"), storage(), 0, (4,), (1,), False, {}, name("os", "system")
    ),
    "version 3 with a text as type": call(
        name("torch._utils", "_rebuild_tensor_v3"), storage(), 0, (4,), (1,), False, {}, "float32"
    ),
    "version 3 with a wider type": call(
        name("torch._utils", "_rebuild_tensor_v3"), storage(), 0, (4,), (1,), False, {}, name("torch", "float64")
    ),
    "with attributes, by another function": call(
        name("torch._tensor", "_rebuild_from_type_v2"), ENCODE, name("torch", "Tensor"), ("id", "latin1"), {}
    ),
    "with attributes, by an evil function": call(
        name("torch._tensor", "_rebuild_from_type_v2"), EVIL_NAME, name("torch", "Tensor"), ("id",), {}
    ),
    "with attributes, of a type that is called": call(
        name("torch._tensor", "_rebuild_from_type_v2"), name("torch._utils", "_rebuild_tensor_v2"), EVIL_NAME, (), {}
    ),
    "a storage of another length": tensor(storage(count=3), 0, (3,), (1,)),
    "a storage of a wider type": tensor(storage(kind="DoubleStorage")),
    "a storage below zero": tensor(storage(count=-4)),
    "a storage of an exabyte": tensor(storage(count=1 << 60)),
    "a storage of fractions": tensor(storage(count=4.0)),
    "a storage elsewhere": tensor(storage(key="../../../../etc/passwd")),
    "a storage that is the pickle": tensor(storage(key="../data.pkl")),
    "a storage under a number": tensor(storage(key=0)),
    "a storage of quantised numbers": tensor(storage(kind="QInt8Storage")),
}  # fmt: skip


@pytest.mark.parametrize("which", TENSORS)
def test_tensors_that_lie(tmp_path: Path, which: str) -> None:
    refuse(tmp_path / "a.pth", zipped({"a": TENSORS[which]}))
    refuse(tmp_path / "b.pth", legacy({"a": TENSORS[which]}))


PLAIN = (3, "<", None, None, None, -1, -1, 0)
ARRAYS = {
    "objects": array((1, (1,), dtype("O8", (3, "|", None, None, None, -1, -1, 63)), False, [EVIL_NAME])),
    "objects by name": array((1, (1,), dtype("object"), False, [1])),
    "objects called numbers": array((1, (1,), dtype(), False, [1])),
    "records": array((1, (1,), dtype("V8", (3, "|", None, ("a",), {"a": (dtype(), 0)}, 8, 1, 16)), False, bytes(8))),
    "fields on numbers": array((1, (4,), dtype("f4", (3, "<", None, ("a",), {}, 4, 1, 0)), False, bytes(16))),
    "parts": array((1, (4,), dtype("f4", (3, "<", (dtype(), (2,)), None, None, -1, -1, 0)), False, bytes(16))),
    "remarks": array((1, (4,), dtype("f4", (4, "<", None, None, None, -1, -1, 0, {"x": EVIL_NAME})), False, bytes(16))),
    "plain remarks": array((1, (4,), dtype("f4", (4, "<", None, None, None, -1, -1, 0, {"x": 1})), False, bytes(16))),
    "dates": array((1, (1,), dtype("M8"), False, bytes(8))),
    "a format of fields": array((1, (1,), dtype("f4,O8"), False, bytes(8))),
    "an evil order": array((1, (4,), dtype("f4", (3, "<f4,O", None, None, None, -1, -1, 0)), False, bytes(16))),
    "a type of no name": array((1, (4,), dtype(name("builtins", "object")), False, bytes(16))),
    "text beyond Unicode": array((1, (1,), dtype("U1", (3, "<", None, None, None, 4, 4, 8)), False, b"\xff" * 4)),
    "half a character": array((1, (1,), dtype("U1", (3, "<", None, None, None, 4, 4, 8)), False, b"\0\xd8\0\0")),
    "text of no width": array((1, (3,), dtype("U0"), False, b"")),
    "a wide text": array((1, (1,), dtype("U999999999"), False, bytes(4))),
    "another class": array(None, name("numpy", "matrix")),
    "another allowed class": array(None, name("builtins", "dict")),
    "no class": call(name("numpy.core.multiarray", "_reconstruct")),
    "too few bytes": array((1, (5,), dtype(), False, bytes(16))),
    "too many bytes": array((1, (3,), dtype(), False, bytes(16))),
    "huge": array((1, (HUGE,), dtype(), False, bytes(16))),
    "overflowing": array((1, (1 << 32, 1 << 32), dtype(), False, bytes(16))),
    "below zero": array((1, (-4,), dtype(), False, bytes(16))),
    "a text that is no bytes": array((1, (4,), dtype(), False, "€" * 16)),
    "no content": call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), (0,), b"b"),
    "four fields": array((1, (4,), dtype(), False)),
    "a scalar of objects": call(name("numpy.core.multiarray", "scalar"), dtype("O8"), EVIL_NAME),
    "a scalar of two": call(name("numpy.core.multiarray", "scalar"), dtype(), bytes(8)),
    "a scalar of a text": call(name("numpy.core.multiarray", "scalar"), "f4", bytes(4)),
    "a buffer of a text": call(name("numpy.core.numeric", "_frombuffer"), bytes(16), "f4", (4,), "C"),
    "a buffer too short": call(name("numpy.core.numeric", "_frombuffer"), bytes(15), dtype(), (4,), "C"),
    "a buffer in no order": call(name("numpy.core.numeric", "_frombuffer"), bytes(16), dtype(), (4,), "K"),
    "bytes by another codec": call(ENCODE, "a", "rot13"),
    "bytes by an imported codec": call(ENCODE, "a", "idna"),
}  # fmt: skip


@pytest.mark.parametrize("which", ARRAYS)
def test_arrays_that_lie(tmp_path: Path, which: str) -> None:
    refuse(tmp_path / "a.pkl", plain({"model": {"a": ARRAYS[which]}}))
    refuse(tmp_path / "b.pth", zipped({"state_dict": {"a": tensor()}, "meta": {"x": [ARRAYS[which]]}}))


# Archives -----------------------------------------------------------------------------------------------------------

GOOD = pickled({"a": tensor()})
USUAL = zipped({"a": tensor()})


def member(info: zipfile.ZipInfo, data: bytes = b"x") -> bytes:
    buffer = io.BytesIO(USUAL)
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr(info, data)
    return buffer.getvalue()


def linked() -> bytes:
    info = zipfile.ZipInfo("archive/data/1")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member(info, b"/etc/passwd")


def patched(data: bytes, signature: bytes, at: int, value: bytes) -> bytes:
    """``data`` with ``value`` ``at`` bytes into every record that begins with ``signature``."""
    found, place = bytearray(data), -1
    while (place := data.find(signature, place + 1)) >= 0:
        found[place + at : place + at + len(value)] = value
    return bytes(found)


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return archive([("a/data.pkl", GOOD), ("a/data.pkl", pickled(EVIL_NAME)), ("a/data/0", SIXTEEN)])


def overlapping() -> bytes:
    """A hundred members that are all the same megabyte."""
    data = archive([(f"a/data/{i}", b"" if i else bytes(1 << 20)) for i in range(100)] + [("a/data.pkl", GOOD)])
    sized = struct.pack("<III", 0, 1 << 20, 1 << 20)
    place = data.index(CENTRAL)
    for _ in range(100):
        data = data[: place + 16] + sized + data[place + 28 : place + 42] + bytes(4) + data[place + 46 :]
        place = data.index(CENTRAL, place + 1)
    return data


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "climbing": lambda: archive([("archive/../../../x", b""), ("archive/data.pkl", GOOD), ("archive/data/0", SIXTEEN)]),
    "absolute": lambda: member(zipfile.ZipInfo("/etc/cron.d/x")),
    "on another drive": lambda: member(zipfile.ZipInfo("C:/x")),
    "backslashes": lambda: patched(USUAL, b"archive/version", 0, b"archive\\version"),
    "null in a name": lambda: patched(USUAL, b"archive/version", 0, b"archive/ver\0ion"),
    "link": linked,
    "two of one name": twice,
    "two folders": lambda: archive([("a/data.pkl", GOOD), ("b/data.pkl", pickled(EVIL_NAME)), ("a/data/0", SIXTEEN)]),
    "a second pickle below": lambda: archive([("a/data.pkl", GOOD), ("a/b/data.pkl", GOOD), ("a/data/0", SIXTEEN)]),
    "at the top": lambda: archive([("data.pkl", GOOD), ("data/0", SIXTEEN)]),
    "bomb": lambda: archive([("a/data.pkl", GOOD), ("a/data/0", bytes(50 << 20))], zipfile.ZIP_DEFLATED),
    "bomb of bzip2": lambda: archive([("a/data.pkl", GOOD), ("a/data/0", bytes(5 << 20))], zipfile.ZIP_BZIP2),
    "bomb in the pickle": lambda: archive([("a/data.pkl", PAD), ("a/data/0", SIXTEEN)], zipfile.ZIP_DEFLATED),
    "overlapping": overlapping,
    "sizes that differ": lambda: patched(USUAL, CENTRAL, 24, struct.pack("<I", 1 << 30)),
    "sizes beyond the file": lambda: patched(USUAL, CENTRAL, 20, struct.pack("<I", 1 << 30) * 2),
    "sizes of zip64": lambda: patched(USUAL, CENTRAL, 20, b"\xff" * 8),
    "offsets beyond the file": lambda: patched(USUAL, CENTRAL, 42, b"\xff\xff\xff\x7f"),
    "encrypted": lambda: patched(USUAL, CENTRAL, 8, b"\x01\x00"),
    "another method": lambda: patched(USUAL, CENTRAL, 10, b"\x63\x00"),
    "another version": lambda: patched(USUAL, CENTRAL, 6, b"\xff\x00"),
    "checksums": lambda: patched(USUAL, CENTRAL, 16, b"\1\2\3\4"),
    "names that differ": lambda: patched(USUAL, LOCAL, 30, b"elsewhe"),
    "data changed": lambda: USUAL.replace(SIXTEEN, SIXTEEN[::-1]),
    "no list of contents": lambda: USUAL[:-60],
    "behind a program": lambda: b"#!/bin/sh\nid\n" + USUAL,
    "pickle is a zip": lambda: zipped(USUAL),
    "pickle is of protocol 0": lambda: zipped(b"cos\nsystem\n(S'id'\ntR."),
    "pickle goes on": lambda: zipped(GOOD + pickled(call(EVIL_NAME, "id"))),
    "pickle is empty": lambda: zipped(b""),
    "pickle is cut": lambda: zipped(GOOD[:-3]),
    "no storage": lambda: zipped({"a": tensor()}, {}),
    "storage too short": lambda: zipped({"a": tensor()}, {"0": SIXTEEN[:-1]}),
    "storage too long": lambda: zipped({"a": tensor()}, {"0": SIXTEEN + b"x"}),
    "big-endian": lambda: zipped({"a": tensor()}, byteorder=b"big"),
    "of no order": lambda: zipped({"a": tensor()}, byteorder=b"middle"),
    "TorchScript": lambda: archive([("m/data.pkl", GOOD), ("m/constants.pkl", GOOD), ("m/code/m.py", b"import os")]),
    "torch.package": lambda: archive([("m/.data/extern_modules", b"os"), ("m/m.py", b"import os")]),
    "no pickle": lambda: archive([("a.py", b"import os")]),
    "NumPy of objects": lambda: npz(np.array([os.system], dtype=object)),
    "legacy: goes on": lambda: legacy({"a": tensor()}) + pickled(EVIL_NAME),
    "legacy: cut": lambda: legacy({"a": tensor()})[:-1],
    "legacy: more storages": lambda: legacy({"a": tensor()}, keys=["0", "1"]),
    "legacy: one storage twice": lambda: legacy({"a": tensor()}, keys=["0", "0"]),
    "legacy: keys not text": lambda: legacy({"a": tensor()}, keys=[0]),
    "legacy: keys called": lambda: legacy({"a": tensor()}, keys=call(EVIL_NAME, "id")),
    "legacy: another length": lambda: legacy({"a": tensor()}, item=2),
    "legacy: a view": lambda: legacy({"a": tensor(storage("0", 4, "FloatStorage", ("1", 0, 2)))}),
    "legacy: two lengths": lambda: legacy(
        {k: tensor(storage("0", n), 0, (1,)) for k, n in (("a", 4), ("b", 2))}
    ),
    "legacy: another protocol": lambda: legacy(1).replace(pickled(1001), pickled(1002)),
    "legacy: big-endian": lambda: legacy(1).replace(of(True), of(False)),
    "pickle: goes on": lambda: plain({"a": array()}) + pickled(call(EVIL_NAME, "id")),
    "pickle: a storage": lambda: plain({"a": tensor()}),
}  # fmt: skip

PAD = pickled({"a": tensor(), "b": "x" * (20 << 20)})


def npz(value: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, value=value)
    return buffer.getvalue()


@pytest.mark.parametrize("which", ARCHIVES)
def test_archives_that_lie(tmp_path: Path, which: str) -> None:
    refuse(tmp_path / "a.pth", ARCHIVES[which]())
    assert os.listdir(tmp_path) == ["a.pth"], "nothing is unpacked"


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_name_that_says_safetensors_must_be_true(tmp_path: Path, form: str) -> None:
    refuse(tmp_path / "a.safetensors", good_files()[form], r"named \.safetensors but")


@pytest.mark.parametrize("ending", ["pkl", "pt", "safetensors.pth", "png", ""])
@pytest.mark.parametrize("container", CONTAINERS)
def test_no_ending_makes_a_file_trusted(tmp_path: Path, ending: str, container: str) -> None:
    refuse(tmp_path / f"a.{ending}", CONTAINERS[container](call(EVIL_NAME, "id")), "os.system|posix.system")


def test_data_stays_data(tmp_path: Path) -> None:
    """A pickle, a zip and a program among the numbers are numbers; an object of a known class is its name."""
    evil = pickled(call(EVIL_NAME, "id"))
    evil += bytes(-len(evil) % 4)
    within = tensor(storage("0", len(evil) // 4), 0, (len(evil) // 4,), (1,))
    bomb = call(name("builtins", "bytearray"), 1 << 50)
    path = tmp_path / "a.pth"
    path.write_bytes(zipped({"a": within, "x": bomb, "y": call(NAMESPACE, 1 << 50)}, {"0": evil}))
    with watched(len(evil)):
        stored = read_stored(path)
    assert stored.tensors["a"].numpy().tobytes() == evil
    assert stored.about == {"x": "<builtins.bytearray>", "y": {}}


# Safetensors --------------------------------------------------------------------------------------------------------


def header(*entries: str, data: bytes = bytes(16)) -> bytes:
    return safetensors(("{" + ", ".join(entries) + "}").encode(), data)


def entry(key: str = "a", kind: Any = "F32", shape: Any = (4,), offsets: Any = (0, 16)) -> str:
    return f'"{key}": ' + json.dumps({"dtype": kind, "shape": shape, "data_offsets": offsets})


HEADERS = {
    "length of an exabyte": safetensors(b"{}", length=1 << 60),
    "length below zero": safetensors(b"{}", length=(1 << 64) - 1),
    "length beyond the file": safetensors(b"{}", length=1000),
    "length of a hundred megabytes": safetensors(b"{}", length=100_000_000),
    "length of two in one": safetensors(b"{}" + bytes(16), length=1),
    "no text": safetensors(b"{\xff\xfe}"),
    "not closed": safetensors(b'{"a": '),
    "deep": safetensors(b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "deep objects": safetensors(b'{"a": ' * 50_000 + b"1" + b"}" * 50_000),
    "not an object": safetensors(b"[1, 2, 3]"),
    "a number of a mile": safetensors(b'{"a": ' + b"9" * 100_000 + b"}"),
    "twice": header(entry(), entry()),
    "twice in an entry": safetensors(
        b'{"a": {"dtype": "F32", "shape": [4], "shape": [9], "data_offsets": [0, 16]}}', bytes(16)
    ),
    "overlapping": header(entry("a", "F32", (4,), (0, 16)), entry("b", "F32", (2,), (8, 16))),
    "the same bytes": header(entry("a"), entry("b")),
    "a gap": header(entry("a", "F32", (1,), (0, 4)), entry("b", "F32", (1,), (12, 16))),
    "a gap at the beginning": header(entry("a", "F32", (2,), (8, 16))),
    "bytes behind": header(entry("a", "F32", (2,), (0, 8))),
    "only bytes": header(),
    "beyond the file": header(entry("a", "F32", (8,), (0, 32))),
    "far beyond the file": header(entry("a", "F32", (1 << 50,), (0, 1 << 52))),
    "below zero": header(entry("a", "F32", (4,), (-16, 0))),
    "backwards": header(entry("a", "F32", (0,), (16, 0))),
    "offsets of fractions": header(entry("a", "F32", (4,), (0.0, 16.0))),
    "offsets of text": header(entry("a", "F32", (4,), ("0", "16"))),
    "offsets of truth": header(entry("a", "U8", (1,), (False, True)), data=b"x"),
    "three offsets": header(entry("a", "F32", (4,), (0, 8, 16))),
    "no offsets": header('"a": {"dtype": "F32", "shape": [4]}'),
    "shape below zero": header(entry("a", "F32", (-2, -2))),
    "shape of truth": header(entry("a", "F32", (True, 4))),
    "shape of fractions": header(entry("a", "F32", (4.0,))),
    "shape not a list": header(entry("a", "F32", "4")),
    "shape that overflows": header(entry("a", "F32", (1 << 33, 1 << 33), (0, 16))),
    "shape empty and huge": header(entry("a", "F32", (0, 1 << 62), (0, 0)), data=b""),
    "shape too small": header(entry("a", "F32", (3,))),
    "a thousand dimensions": header(entry("a", "F32", (1,) * 1000 + (4,))),
    "another type": header(entry("a", "F64")),
    "a type of no name": header(entry("a", None)),
    "an unknown type": header(entry("a", "F6_E2M3")),
    "an object's type": header(entry("a", "O")),
    "a list as type": header(entry("a", ["F32"])),
    "more in an entry": header('"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], "code": "import os"}'),
    "an entry of text": header('"a": "F32"'),
    "an entry of nothing": header('"a": null'),
    "remarks of numbers": header('"__metadata__": {"a": 1}', entry()),
    "remarks of remarks": header('"__metadata__": {"a": {"b": "c"}}', entry()),
    "remarks a list": header('"__metadata__": ["a"]', entry()),
    "remarks of nothing": header('"__metadata__": null', entry()),
    "no tensors": safetensors(b"{}"),
}  # fmt: skip


@pytest.mark.parametrize("which", HEADERS)
def test_headers_that_lie(tmp_path: Path, which: str) -> None:
    refuse(tmp_path / "a.safetensors", HEADERS[which])
    with watched(len(HEADERS[which])), pytest.raises(CheckpointError, match=r"a\.safetensors: "):
        read_archive(tmp_path / "a.safetensors")


# Chance ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=250)
@given(st.sampled_from(sorted(good_files())), st.data())
def test_chance_finds_nothing_either(tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject) -> None:
    """Bytes changed, cut, doubled or put in: the file is read or refused, and nothing else happens."""
    changed = bytearray(good_files()[form])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, max(len(changed) - 1, 0)))
        how = data.draw(st.sampled_from(["flip", "flip", "set", "cut", "insert", "repeat"]))
        if how == "flip":
            changed[place : place + 1] = bytes(
                b ^ 1 << data.draw(st.integers(0, 7)) for b in changed[place : place + 1]
            )
        elif how == "set":
            changed[place : place + 1] = data.draw(st.binary(min_size=1, max_size=1))
        elif how == "cut":
            del changed[place : place + data.draw(st.integers(1, 40))]
        elif how == "insert":
            changed[place:place] = data.draw(
                st.sampled_from([b"cos\nsystem\n", b"R", b"b", b"(", b"\x81", b"\xff" * 8])
            )
        else:
            changed[place:place] = changed[place : place + data.draw(st.integers(1, 60))]
    path = tmp_path_factory.getbasetemp() / f"chance.{form}"
    path.write_bytes(changed)
    with watched(len(changed)):
        try:
            stored = read_stored(path)
        except CheckpointError:
            return
    assert all(tensor.numel() * tensor.element_size() <= len(changed) for tensor in stored.tensors.values())
    json.dumps(stored.about)


@settings(max_examples=150)
@given(st.binary(max_size=60), st.sampled_from(["pickle", "zip"]))
def test_no_row_of_bytes_is_a_program(tmp_path_factory: pytest.TempPathFactory, body: bytes, container: str) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.pkl"
    path.write_bytes(CONTAINERS[container](Op(body)))
    with watched(1000), pytest.raises(CheckpointError):
        read_stored(path)
