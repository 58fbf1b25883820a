"""``baimu.export``: a trained model as a file for another runtime, proven equal before it is called done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from baimu.deploy.attempt import beside, failing_in_words
from baimu.deploy.calibrating import calibration_inputs
from baimu.deploy.graph import KINDS, Graph, Kind, example, facts_of
from baimu.deploy.proof import prove, samples
from baimu.errors import ArgumentError, BaimuError, unknown
from baimu.inference.predictor import load_model
from baimu.layers.fold import fold_norms
from baimu.runtimes.card import Card
from baimu.runtimes.exported import Exported, open_exported
from baimu.runtimes.session import RUNTIMES, module_of

Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: dict[str, tuple[str, ...]] = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torch": ("fp32", "fp16", "bf16"),
    "aotinductor": ("fp32", "fp16", "bf16"),
    "torchscript": ("fp32", "fp16", "bf16"),
    "mnn": ("fp32", "fp16", "int8"),
}
"""What each format can be written in."""
OWN_PRECISION = ("torch", "aotinductor", "torchscript")
"""Formats whose lower precision is part of the graph that torch writes; other runtimes bring their own."""
EXAMPLE = (251, 317)
"""Height and width of the noise by which a graph of free size is made: odd, so that no map happens to have the size
that another is brought to, and the general way is taken; rounded up to what the model's inputs are multiples of."""


class Shape(NamedTuple):
    """Of the images that a graph takes."""

    size: tuple[int, int]  # height and width, of the example where they are free; 0 of what is no image
    free_height: bool
    free_width: bool

    def fixed(self) -> tuple[int | None, int | None]:
        """The sides that images must have."""
        height, width = self.size
        return None if self.free_height else height or None, None if self.free_width else width or None


def export(
    model: nn.Module | str | Path,
    path: str | Path | None = None,
    *,
    format: str = "onnx",
    precision: Precision = "fp32",
    size: int | tuple[int, int] | None = None,
    raw: bool = False,
    images: Any = None,
    verify: bool = True,
    licence: str = "",
    report: Callable[[str], None] | None = None,
    **options: Any,
) -> Path:
    """Write ``model`` (or its checkpoint or run folder) to ``path`` for ``format``, and prove it.

    ===============  ======================  ======================================================================
    format           file                    runs in
    ===============  ======================  ======================================================================
    ``onnx``         ``.onnx``               ONNX Runtime and what else reads ONNX; opset 18
    ``openvino``     ``.xml``, ``.bin``      OpenVINO
    ``torch``        ``.pt2``                torch, as a graph of its operators (``torch.export``)
    ``aotinductor``  ``.aoti.pt2``           torch in Python and C++, compiled for machines like this one
    ``torchscript``  ``.torchscript``        torch in Python and C++
    ``mnn``          ``.mnn``                MNN
    ===============  ======================  ======================================================================

    The graph takes uint8 RGB images (B, 3, H, W), resized as the model's preprocessing says, and of detectors and
    readers the valid sizes (B, 2); it normalises, and ends with what the task tells: detections after NMS, padded to a
    fixed count, probabilities, logits of pixels, embeddings, pictures. ``raw``: of a detector the candidates before
    NMS, for runtimes without it. B is free, and H and W are where the preprocessing leaves them so and the graph can,
    unless ``size`` fixes them: one side, into which images are then fitted and padded, or height and width, to which
    they are stretched. The file states names, classes, preprocessing and ``licence`` in its own metadata, from which
    :func:`baimu.load` reads them. ``options`` are the task's: ``to``, of two domains the one to make.

    ``precision``: ``int8`` takes its ranges from ``images`` (any source of :func:`baimu.predict`; a hundred of those
    it is to be used for). At the end the file is loaded and asked about ``images``, or drawn scenes, of several sizes
    and in several batches, and its results are compared with the model's. ``report`` is told what came out.

    Raises :class:`~baimu.errors.BaimuError` where a runtime is absent, with the line that installs it, for what a
    format cannot hold, and with the first results that differ where the proof fails; the file is then not there.
    """
    network: Any = model if isinstance(model, nn.Module) else load_model(model)
    options = {**options, **({"raw": True} if raw else {})}
    kind = _kind_of(network, format, precision, options, images)
    module_of(format, write=True)
    path = Path(path or f"{(network.spec or ('model',))[0]}{RUNTIMES[format].suffix}")
    if not path.name.endswith(RUNTIMES[format].suffix):
        raise BaimuError(f"{path}: a file of the format {format} ends with {RUNTIMES[format].suffix}")

    before = network.preprocess
    try:
        shape = _shape(network, size)
        seen = None if not (verify or precision == "int8") else samples(network, images)
        with beside(path) as made:
            with failing_in_words(f"{path.name}: {format} cannot hold this model"):
                _write(network, made, format, precision, kind, shape, options, seen, licence)
            proof = prove(network, open_exported(made), seen or (), precision, options) if verify else None
            for part in made.parent.iterdir():  # OpenVINO's weights, and those of large ONNX files, lie beside it
                part.replace(path.with_name(part.name))
    finally:
        network.preprocess = before
    if report is not None:
        said = proof.words if proof else "not compared with the model"
        report(f"{path}: {format} {precision}, {path.stat().st_size / 2**20:.1f} MiB; {said}")
    return path


def _kind_of(network: Any, format: str, precision: str, options: dict[str, Any], images: Any) -> Kind:
    """The task's way to a graph, after everything that the user named is known to exist."""
    if isinstance(network, Exported):
        raise BaimuError(f"{network.path}: is exported already; export the model it was made of")
    if getattr(network, "task", None) not in KINDS:
        raise BaimuError(f"{type(network).__name__}: not a model of {' or '.join(KINDS)}; give one of baimu's")
    if format not in RUNTIMES:
        raise unknown("format", format, RUNTIMES)
    if precision not in PRECISIONS[format]:
        raise BaimuError(f"precision={precision}: {format} is written in {', '.join(PRECISIONS[format])}")
    if precision == "int8" and images is None and format != "mnn":
        raise BaimuError("int8 needs images to take its ranges from; give a hundred of those it is to be used for")
    kind = KINDS[network.task]
    for option in options:
        if option not in kind.known():
            raise unknown(f"option of exporting {network.task}", option, kind.known())
    return kind


def _shape(network: Any, size: int | tuple[int, int] | None) -> Shape:
    """The shape of the input; ``network`` is given the preprocessing that makes it."""
    if network.task in ("tracking", "text_classification"):
        if size is not None:
            raise BaimuError(f"size={size}: is not for {network.task}; leave it away")
        return Shape((0, 0), False, False)
    p = network.preprocess
    if size is not None:
        if not isinstance(size, int) and len(size) != 2:
            raise ArgumentError(f"size={size!r}: give a side, or height and width, in pixels")
        height, width = (size, size) if isinstance(size, int) else size
        step = max(p.pad_to, getattr(network, "multiple", 1))
        if height % step or width % step or min(height, width) < 1:
            raise BaimuError(f"size={size}: this model's inputs have sides of a multiple of {step} pixels")
        way = {"resize": "letterbox"} if isinstance(size, int) else {"resize": "stretch", "width": width}
        network.preprocess = p.replace(size=height, **way)
        return Shape((height, width), False, False)
    if p.resize in ("letterbox", "crop"):
        side = -(-p.size // p.pad_to) * p.pad_to
        return Shape((side, side), False, False)
    if p.resize == "stretch":
        return Shape((p.size, p.width or p.size), False, False)
    if p.resize == "height":
        return Shape((p.size, 100), False, True)
    step = max(p.pad_to, getattr(network, "multiple", 1))
    height, width = (-(-side // step) * step for side in EXAMPLE)
    return Shape((height, width), True, True)


def _write(
    network: Any,
    path: Path,
    format: str,
    precision: str,
    kind: Kind,
    shape: Shape,
    options: dict[str, Any],
    seen: Any,
    licence: str,
) -> None:
    module = module_of(format)
    half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision) if format in OWN_PRECISION else None
    inference = fold_norms(network, fused=False)
    graph = Graph(in_half(inference, half) if half else inference, kind, options, half).eval()
    inputs = example(network, shape.size)
    with torch.no_grad():
        if format == "torchscript":
            program = module.trace(graph, tuple(inputs))
        else:
            program, shape = to_program(graph, inputs, shape)
    card = Card(
        task=network.task,
        classes=tuple(network.classes),
        preprocess=network.preprocess.to_dict(),
        outputs=kind.outputs(network, **{k: v for k, v in options.items() if k == "raw"}),
        takes_sizes=kind.takes_sizes,
        facts=facts_of(network, kind, options),
        model=network.spec if hasattr(network, "spec") else None,
        precision=precision,
        fixed_size=shape.fixed(),
        licence=licence or getattr(network, "licence", ""),
        version=version("baimu"),
    )
    if format in OWN_PRECISION:
        module.save(program, path, card)
        return
    from baimu.runtimes import onnx

    proto = onnx.to_onnx(program, kind.inputs, card.outputs)
    calibration = calibration_inputs(network, seen) if precision == "int8" else ()
    _write_from_onnx(module, onnx, proto, path, card, calibration)


def _write_from_onnx(module: Any, onnx: Any, proto: Any, path: Path, card: Card, calibration: Any) -> None:
    if module is onnx:
        if card.precision == "int8":
            proto = onnx.to_int8(proto, calibration, path.parent.parent)
        module.save(onnx.to_fp16(proto) if card.precision == "fp16" else proto, path, card)
        return
    between = path.parent.with_name("between.onnx")
    onnx.save(proto, between, card)
    if module.__name__.endswith("mnn"):
        module.save(between, path, card)
        return
    model = module.to_openvino(between)
    if card.precision == "int8":
        model = module.to_int8(model, calibration)
    module.save(model, path, card)


def to_program(graph: Graph, inputs: Sequence[Tensor], shape: Shape) -> tuple[Any, Shape]:
    """torch's ``ExportedProgram``, its batch and, where ``shape`` says so, sides free; and which sides came out free,
    for a method's code may hold them all the same."""
    from torch.export import Dim

    from baimu.runtimes.onnx import quiet

    first: dict[int, Any] = {0: Dim.AUTO}
    if shape.free_height:
        first[2] = Dim.AUTO
    if shape.free_width:
        first[3] = Dim.AUTO
    rest = [{0: Dim.AUTO} for _ in inputs[1:]]
    if graph.kind is KINDS["tracking"]:  # one exemplar, of one size
        first = {}
    if inputs[0].ndim == 2:  # texts
        first[1] = Dim.AUTO
    with quiet():
        program = torch.export.export(
            graph,
            tuple(inputs),
            dynamic_shapes=(first, *rest),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    drop_checks(program)
    placed = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"][-len(inputs)]
    free = [dim in first and not isinstance(placed.shape[dim], int) for dim in (2, 3)]
    return program, Shape(shape.size, *free)


def drop_checks(program: Any) -> None:
    """Without the assertions that other sizes differ as those of the example do, and are as large: the proof looks at
    others."""
    graph = program.graph_module.graph
    for node in reversed(graph.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
    for symbol, bounds in program.range_constraints.items():
        program.range_constraints[symbol] = type(bounds)(1, bounds.upper)


def in_half(model: Any, dtype: torch.dtype) -> Any:
    """``model`` with the weights of its convolutions and linear layers stored in 16 bits."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.to(dtype)
    return model
