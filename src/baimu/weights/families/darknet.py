"""Darknet-53 and CSPDarknet-53: timm, mmpretrain, and mmdetection's backbone. Files of Darknet itself have no names:
:mod:`baimu.weights.darknet`."""

from __future__ import annotations

import re

import torch

from baimu.weights.keys import COUNTERS, KeyTable, Route, State

_LEAKY = {"slope": 0.01}
"""Both trained with torch's default slope, where Darknet has 0.1."""
_BRICKS: KeyTable = ((r"^stages\.", "backbone.stages."), (r"\.bn\.", ".norm."))


def _ways_apart(expand: str, join: str, state: State) -> State:
    """One convolution for both ways of a stage becomes two; the joining one hears the way through the blocks first."""
    parted: State = {}
    for key, value in state.items():
        if expand in key and value.dim():
            past, through = value.chunk(2)
            parted |= {key.replace(expand, ".past."): past, key.replace(expand, ".through."): through}
        elif expand in key:  # a counter
            parted |= {key.replace(expand, way): value for way in (".past.", ".through.")}
        else:
            parted[key] = _turned(value) if re.search(join, key) else value
    return parted


def _ways_together(expand: str, join: str, state: State) -> State:
    """The inverse of :func:`_ways_apart`."""
    joined: State = {}
    for key, value in state.items():
        if ".past." in key:
            through = state[key.replace(".past.", ".through.")]
            joined[key.replace(".past.", expand)] = torch.cat([value, through]) if value.dim() else value
        elif ".through." not in key:
            joined[key] = _turned(value) if re.search(join, key) else value
    return joined


def _turned(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight whose two halves of input channels change places."""
    return weight.roll(weight.shape[1] // 2, 1)


def _csp(expand: str, join: str, table: KeyTable) -> Route:
    return Route(
        models=r"cspdarknet53",
        table=table,
        arguments=_LEAKY,
        to_ours=lambda state: _ways_apart(expand, join, state),
        to_theirs=lambda state: _ways_together(expand, join, state),
        may_miss=(COUNTERS,),
    )


TIMM = Route(
    models=r"darknet53",
    table=(
        (r"^head\.fc\.", "head.linear."),
        (r"^stem\.conv1\.", "backbone.stem."),
        (r"\.conv_down\.", ".down."),
        *_BRICKS,
    ),
    arguments=_LEAKY,
    may_miss=(COUNTERS,),
)
TIMM_CSP = _csp(
    ".conv_exp.",
    r"\.conv_transition\.conv\.weight$",
    (*TIMM.table, (r"\.conv_transition_b\.", ".after."), (r"\.conv_transition\.", ".join.")),
)
MMPRETRAIN_CSP = _csp(
    ".expand_conv.",
    r"\.final_conv\.conv\.weight$",
    (
        (r"^head\.fc\.", "head.linear."),
        (r"\.downsample_conv\.", ".down."),
        (r"\.atfer_blocks_conv\.", ".after."),  # their spelling
        (r"\.final_conv\.", ".join."),
        (r"\.bn\.", ".norm."),
    ),
)
_MMDETECTION: KeyTable = (
    (r"^head\.fc\.", "head.linear."),
    (r"^backbone\.conv1\.", "backbone.stem."),
    *(
        pair
        for i in range(5)
        for pair in (
            (rf"^backbone\.conv_res_block{i + 1}\.conv\.", f"backbone.stages.{i}.down."),
            (rf"^backbone\.conv_res_block{i + 1}\.res(\d)\.", rf"backbone.stages.{i}.blocks.\1."),
        )
    ),
    (r"^(backbone\..*)\.bn\.", r"\1.norm."),
)
MMDETECTION = Route(
    models=r"darknet53",
    table=_MMDETECTION,
    may_miss=(COUNTERS,),
    older=((r"^(conv1|conv_res_block\d)\.", r"backbone.\1."),),  # a file of the backbone alone
)
ROUTES = {"timm": (TIMM, TIMM_CSP), "openmmlab": (MMDETECTION, MMPRETRAIN_CSP)}
