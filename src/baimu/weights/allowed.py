"""The names that a pickled file may contain, and what of ours stands in for each.

Nothing of another library is imported or called: a tensor becomes a :class:`~baimu.weights.inert.Placed`, a NumPy
array an :class:`~baimu.weights.inert.Array`, a mapping a dictionary, and an object of the training frameworks'
bookkeeping an :class:`~baimu.weights.inert.Inert`. docs/weights.md publishes the list: "What a file may contain".
"""

from __future__ import annotations

from typing import Any

import torch

from baimu.weights import rebuild
from baimu.weights.inert import Known, StorageType
from baimu.weights.refusal import Refused

_CALLED = {  # what is called, and our function in its place
    "torch._utils._rebuild_tensor": rebuild.tensor,
    "torch._utils._rebuild_tensor_v2": rebuild.tensor,
    "torch._utils._rebuild_tensor_v3": rebuild.typed_tensor,
    "torch._utils._rebuild_parameter": rebuild.parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild.parameter,
    "torch._tensor._rebuild_from_type_v2": rebuild.tensor_with_attributes,
    "torch.Size": rebuild.shape,
    "_codecs.encode": rebuild.bytes_from_text,
    "numpy._core.multiarray._reconstruct": rebuild.array,
    "numpy._core.multiarray.scalar": rebuild.number,
    "numpy._core.numeric._frombuffer": rebuild.array_of_bytes,
    "numpy.dtype": rebuild.numpy_type,
    "collections.OrderedDict": rebuild.mapping,
    "collections.Counter": rebuild.mapping,
    "collections.defaultdict": rebuild.mapping,
    "collections.deque": rebuild.sequence,
    "builtins.set": rebuild.sequence,
    "builtins.frozenset": rebuild.sequence,
    "builtins.bytes": rebuild.no_bytes,
    "builtins.getattr": rebuild.attribute,
}
_STORAGES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
}
_DTYPES = (*_STORAGES.values(), torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2)
_HISTORY = "mmengine.logging.history_buffer.HistoryBuffer"
_MENTIONED = (  # classes and functions that may stand as a value, as a name only
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    "numpy.ndarray",
    "typing.Any",
    *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "object", "str", "tuple")),
    *(f"{_HISTORY}.{name}" for name in ("current", "max", "mean", "min")),
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
)
_STOOD_IN = {  # objects that become an Inert, and how its content reads
    "argparse.Namespace": rebuild.fields,
    "types.SimpleNamespace": rebuild.fields,
    _HISTORY: None,
    "mmengine.config.config.Config": rebuild.config,
    "mmengine.config.config.ConfigDict": rebuild.entries,
    "mmcv.utils.config.Config": rebuild.config,
    "mmcv.utils.config.ConfigDict": rebuild.entries,
    "addict.addict.Dict": rebuild.entries,
    "easydict.EasyDict": rebuild.entries,
    "yacs.config.CfgNode": rebuild.entries,
    "fvcore.common.config.CfgNode": rebuild.entries,
    "detectron2.config.config.CfgNode": rebuild.entries,
    "pytorch_lightning.utilities.parsing.AttributeDict": rebuild.entries,
    "lightning.pytorch.utilities.parsing.AttributeDict": rebuild.entries,
    "lightning_fabric.utilities.data.AttributeDict": rebuild.entries,
    "lightning.fabric.utilities.data.AttributeDict": rebuild.entries,
    "omegaconf.dictconfig.DictConfig": rebuild.content,
    "omegaconf.listconfig.ListConfig": rebuild.content,
    **{f"omegaconf.nodes.{kind}Node": rebuild.value for kind in ("Any", "Boolean", "Bytes", "Float")},
    **{f"omegaconf.nodes.{kind}Node": rebuild.value for kind in ("Integer", "Path", "String")},
    "omegaconf.base.ContainerMetadata": None,
    "omegaconf.base.Metadata": None,
    **{f"pathlib.{kind}Path": None for kind in ("Posix", "PurePosix", "Windows", "PureWindows")},
    **{f"pathlib._local.{kind}Path": None for kind in ("Posix", "PurePosix", "Windows", "PureWindows")},
    **{f"datetime.{kind}": None for kind in ("date", "datetime", "time", "timedelta", "timezone")},
    **{f"builtins.{kind}": None for kind in ("bytearray", "complex", "range", "slice")},
    "torch.device": None,
}


def _table() -> dict[str, Any]:
    table: dict[str, Any] = {name: Known(name, make) for name, make in _CALLED.items()}
    table |= {name: Known(name) for name in _MENTIONED}
    table |= {name: rebuild.stand_in(name, reading) for name, reading in _STOOD_IN.items()}
    for name, dtype in _STORAGES.items():
        table[f"torch.{name}Storage"] = table[f"torch.storage.{name}Storage"] = StorageType(dtype)
    table["torch.storage.UntypedStorage"] = StorageType(None)
    return table | {str(dtype): dtype for dtype in _DTYPES}


ALLOWED: dict[str, Any] = _table()
"""Every name that a file may contain. Whatever is not here is refused by name."""

_RENAMED = {"__builtin__.": "builtins.", "numpy.core.": "numpy._core."}  # Python 2's and NumPy 1's names
_REFUSED = {
    "ultralytics.": "is a whole pickled ultralytics model ({name}), which only its own code can rebuild; if you trust "
    "its author, write its parameters with it: torch.save(YOLO(path).model.float().state_dict(), 'weights.pt')",
    "models.": "is a whole pickled model ({name}), as YOLOv5 to v9 write it, which only its own code can rebuild; if "
    "you trust its author, write its parameters there: torch.save(attempt_load(path).float().state_dict(), 'w.pt')",
    "torch.nn.modules.": "is a whole pickled model ({name}), not its parameters; where it was written: "
    "torch.save(model.state_dict(), path)",
    "torch._utils._rebuild_sparse": "holds sparse tensors, which no model here has; save tensor.to_dense()",
    "torch._utils._rebuild_qtensor": "holds quantised tensors, which no model here has; save the float parameters",
    "torch._utils._rebuild_meta": "holds tensors without values (of the meta device); save the trained parameters",
    "torch.Q": "holds quantised tensors, which no model here has; save the float parameters",
    "torch.distributed.": "holds parts of tensors of a distributed run ({name}); gather them and save the whole",
}


def known(name: str) -> Any:
    """What stands in for the dotted ``name``. Raises :class:`Refused` if it is not on the list."""
    for old, new in _RENAMED.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
    if name in ALLOWED:
        return ALLOWED[name]
    for start, words in _REFUSED.items():
        if name.startswith(start):
            raise Refused(words.format(name=repr(name)[:120]))
    raise Refused(
        f"contains {name!r:.120}, which no file of parameters needs; nothing of it was run. If you trust its author, "
        "save the parameters alone where it was written: torch.save(model.state_dict(), path)"
    )
