"""Convolutions and linear layers for inference: weights laid out once for the kernel, results finished in cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kernel = Literal["onednn", "mkl"]
RELU = nn.ReLU(inplace=True)
POST_OPERATIONS: dict[type[nn.Module], Callable[[Any], tuple[str, list[float], str]]] = {
    nn.ReLU: lambda act: ("relu", [], ""),
    nn.ReLU6: lambda act: ("hardtanh", [0.0, 6.0], ""),
    nn.Hardtanh: lambda act: ("hardtanh", [act.min_val, act.max_val], ""),
    nn.LeakyReLU: lambda act: ("leaky_relu", [act.negative_slope], ""),
    nn.SiLU: lambda act: ("swish", [], ""),
    nn.Hardswish: lambda act: ("hardswish", [], ""),
    nn.Sigmoid: lambda act: ("sigmoid", [], ""),
    nn.Hardsigmoid: lambda act: ("hardsigmoid", [], ""),
    nn.Tanh: lambda act: ("tanh", [], ""),
    nn.GELU: lambda act: ("gelu", [], act.approximate),
}
"""oneDNN's name, numbers and algorithm of the activations it has; others follow the layer as they are."""


class Fused(nn.Module):
    """A frozen layer that adds, and applies an activation, while its result is still in cache.

    On a CPU through oneDNN's post-operations; elsewhere, where something is traced, compiled or differentiated, for
    float32 under an autocast that the weights are not stored for, and where this build of torch lacks them, the plain
    operators. With ``pack`` the weight is kept a second time as the kernel wants it, from the first call on: laying it
    out anew at every call, as the plain operators do, can take as long as the product.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, *, pack: bool) -> None:
        super().__init__()
        self.pack = pack
        self._packed: dict[str, tuple[tuple[int, ...], Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        return self.fused(x)

    def fused(self, x: Tensor, add: Tensor | None = None, relu: bool = False, act: nn.Module | None = None) -> Tensor:
        """``layer(x)``, then ``+ add``, then ReLU or the activation ``act``, where asked for."""
        act = RELU if relu else act
        if torch.is_autocast_enabled("cpu") and self.weight.dtype == torch.get_autocast_dtype("cpu"):
            x = x.to(self.weight.dtype)
        if self.is_plain(x, add):
            return finished(self.plain(x), add, act)
        named = None if act is None else POST_OPERATIONS.get(type(act))
        if add is None:
            out = self.unary(x, named(act) if named else ("none", [], ""))
        else:
            out, named = self.binary(x, add, act)
        return out if named or act is None else act(out)

    def plain(self, x: Tensor) -> Tensor:
        """The layer by torch's own operator."""
        raise NotImplementedError

    def unary(self, x: Tensor, after: tuple[str, list[float], str]) -> Tensor:
        """The layer and oneDNN's operation ``after`` it."""
        raise NotImplementedError

    def binary(self, x: Tensor, add: Tensor, act: nn.Module | None) -> tuple[Tensor, bool]:
        """The layer and ``+ add``, and whether ``act`` is done too."""
        raise NotImplementedError

    def packed(self, kind: str, how: Callable[[], Tensor], *key: int) -> Tensor:
        """What ``how`` makes of the weight, made again where the weight, ``key`` or the number of threads is another
        than last time: a kernel given the layout for other threads lays the weight out at every call, which takes
        longer than to use none."""
        version = 0 if self.weight.is_inference() else self.weight._version
        key = (*key, self.weight.data_ptr(), version, torch.get_num_threads())
        known = self._packed.get(kind)
        if known is None or known[0] != key:
            known = self._packed[kind] = (key, how())
        return known[1]

    def is_plain(self, x: Tensor, add: Tensor | None) -> bool:
        """Whether torch's own operator has to do, or does better."""
        if not _has_post_operations() or x.device.type != "cpu" or not x.numel():
            return True
        if x.dtype != self.weight.dtype or x.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return True
        if add is not None and add.dtype != x.dtype:
            return True
        if torch.is_grad_enabled() and x.requires_grad:
            return True
        return torch.is_autocast_enabled("cpu") and x.dtype == torch.float32

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_packed": {}}  # a copy or a file lays its own weight out


class FusedConv2d(Fused):
    """A convolution. Its weight is laid out for the size of the first map it sees, and serves others as well."""

    def __init__(self, conv: nn.Conv2d, *, pack: bool = True) -> None:
        super().__init__(pack=pack)
        self.weight, self.bias = conv.weight, conv.bias
        self.settings = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.out_channels = conv.out_channels

    def plain(self, x: Tensor) -> Tensor:
        padding, stride, dilation, groups = self.settings
        return F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)

    def unary(self, x: Tensor, after: tuple[str, list[float], str]) -> Tensor:
        run = torch.ops.mkldnn._convolution_pointwise.default
        return run(x, self._weight(x), self.bias, *self.settings, *after)

    def binary(self, x: Tensor, add: Tensor, act: nn.Module | None) -> tuple[Tensor, bool]:
        relu = type(act) is nn.ReLU  # the only one that it computes after a sum
        run = torch.ops.mkldnn._convolution_pointwise.binary
        after = ("add", 1.0, "relu" if relu else None, [], None)
        return run(x, add, self._weight(x), self.bias, *self.settings, *after), relu

    def _weight(self, x: Tensor) -> Tensor:
        if not self.pack:
            return self.weight
        lay_out = torch.ops.mkldnn._reorder_convolution_weight
        return self.packed("onednn", lambda: lay_out(self.weight, *self.settings, list(x.shape)))


class FusedLinear(Fused):
    """A linear layer by oneDNN or, in float32, by MKL with its weight packed for the number of rows it last saw.

    Which is the faster is the processor's affair; a single row is torch's, whose product of a matrix and a vector
    needs no layout.
    """

    def __init__(self, linear: nn.Linear, *, kernel: Kernel = "onednn", pack: bool = True) -> None:
        super().__init__(pack=pack)
        self.weight, self.bias, self.kernel = linear.weight, linear.bias, kernel
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def plain(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def is_plain(self, x: Tensor, add: Tensor | None) -> bool:
        return super().is_plain(x, add) or x.numel() <= self.in_features

    def fused(self, x: Tensor, add: Tensor | None = None, relu: bool = False, act: nn.Module | None = None) -> Tensor:
        if self.kernel == "mkl" and x.dtype == self.weight.dtype == torch.float32 and not self.is_plain(x, add):
            return finished(self._by_mkl(x), add, RELU if relu else act)
        return super().fused(x, add, relu, act)

    def unary(self, x: Tensor, after: tuple[str, list[float], str]) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.default(x, self._weight(x), self.bias, *after)

    def binary(self, x: Tensor, add: Tensor, act: nn.Module | None) -> tuple[Tensor, bool]:
        add = add.expand(*x.shape[:-1], self.out_features)
        return torch.ops.mkldnn._linear_pointwise.binary(x, add, self._weight(x), self.bias, "add"), False

    def _weight(self, x: Tensor) -> Tensor:
        if not self.pack:
            return self.weight
        lay_out = torch.ops.mkldnn._reorder_linear_weight
        return self.packed("onednn", lambda: lay_out(self.weight, x.numel() // self.in_features))

    def _by_mkl(self, x: Tensor) -> Tensor:
        rows = x.numel() // self.in_features
        lay_out = torch.ops.mkl._mkl_reorder_linear_weight
        packed = self.packed("mkl", lambda: lay_out(self.weight, rows), rows)
        return torch.ops.mkl._mkl_linear(x.contiguous(), packed, self.weight, self.bias, rows)


def finish(layer: nn.Module, x: Tensor, act: nn.Module) -> Tensor:
    """``act(layer(x))``, in one pass where the layer can."""
    return layer.fused(x, act=act) if isinstance(layer, Fused) else act(layer(x))


def finished(out: Tensor, add: Tensor | None, act: nn.Module | None) -> Tensor:
    """``act(out + add)``, of which either may be missing."""
    out = out if add is None else out + add
    return out if act is None else act(out)


def _has_post_operations() -> bool:
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:  # compilers fuse, files hold no such
        return False
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
