"""Activations as ``act=`` factories, by name.

``a`` is the option of that name; at x < 0:

=============  ==================================  ========  ===========================================================
name           formula                             range     source
=============  ==================================  ========  ===========================================================
identity       x                                   all
sigmoid        1 / (1 + exp −x)                    0…1
tanh           tanh x                              −1…1
relu           0                                   0…        Nair, Hinton 2010
relu6          0; at most 6                        0…6       1704.04861
leaky_relu     a x, a = 0.01 (negative_slope)      all       Maas, Hannun, Ng 2013
prelu          a x, a learned from 0.25 (init)     all       1502.01852
rrelu          a x, a drawn from 1/8…1/3           all       1505.00853
elu            a (exp x − 1), a = 1 (alpha)        −a…       1511.07289
selu           1.0507 · 1.6733 (exp x − 1)         −1.76…    1706.02515
softplus       log(1 + exp x), everywhere          0…
silu, swish    x sigmoid(x), everywhere            −0.28…    1710.05941
hard_sigmoid   relu6(x + 3) / 6, everywhere        0…1       1905.02244
hard_swish     x relu6(x + 3) / 6, everywhere      −0.38…    1905.02244
mish           x tanh(softplus x), everywhere      −0.31…    1908.08681
gelu           x Φ(x), everywhere                  −0.17…    1606.08415
gelu_tanh      its approximation by tanh           −0.17…    1606.08415
=============  ==================================  ========  ===========================================================

All are torch's own. PReLU learns one slope a layer (the paper's "channel-shared" form), because a factory is not told
how many channels there are. RReLU draws in training and takes the mean slope, 11/48, in evaluation.
"""

from __future__ import annotations

import functools
from typing import Any

from torch import nn

from baimu.errors import unknown
from baimu.layers.conv import Act

ACTIVATIONS: dict[str, Act] = {
    "identity": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "rrelu": nn.RReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "softplus": nn.Softplus,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_swish": nn.Hardswish,
    "mish": nn.Mish,
    "gelu": nn.GELU,
    "gelu_tanh": functools.partial(nn.GELU, approximate="tanh"),
}

_IN_PLACE = {
    "relu", "relu6", "leaky_relu", "rrelu", "elu", "selu", "silu", "swish", "hard_sigmoid", "hard_swish", "mish",
}  # fmt: skip


def activation(act: str | Act, *, inplace: bool = False, **options: Any) -> Act:
    """The factory of an activation: ``activation("leaky_relu", negative_slope=0.1)``; a factory is given back.

    ``options`` are those of torch's module. ``inplace`` overwrites the input, where torch can; it is for what a
    convolution or a norm has just made and nothing else reads, not for the input of a residual block.
    Unknown names offer the nearest.
    """
    if not isinstance(act, str):
        return act
    if act not in ACTIVATIONS:
        raise unknown("activation", act, ACTIVATIONS)
    if inplace and act in _IN_PLACE:
        options["inplace"] = True
    return functools.partial(ACTIVATIONS[act], **options) if options else ACTIVATIONS[act]
