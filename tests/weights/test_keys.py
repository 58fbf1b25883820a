"""Key tables: renaming in order, strict loading with both sides named, and nothing half loaded."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baimu.errors import CheckpointError
from baimu.weights import openmmlab, torchvision
from baimu.weights.keys import load_renamed, rename

TABLE = ((r"^module\.", ""), (r"^fc\.", "head."))


def model() -> nn.Module:
    net = nn.Sequential()
    net.add_module("body", nn.Linear(2, 3))
    net.add_module("head", nn.Linear(3, 4))
    return net


def theirs(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    values = {k: torch.full_like(v, 0.5) for k, v in model().state_dict().items()}
    return {f"module.{k.replace('head', 'fc')}": v for k, v in values.items()} | changes


def test_pairs_apply_in_order_each_to_the_answer_of_the_last() -> None:
    assert rename("module.fc.weight", TABLE) == "head.weight"
    assert rename("body.fc.weight", TABLE) == "body.fc.weight", "anchored"
    assert rename("a", (("a", "b"), ("b", "c"))) == "c"


def test_every_value_arrives() -> None:
    net = model()
    load_renamed(net, theirs(), TABLE)
    assert all(bool((v == 0.5).all()) for v in net.state_dict().values())


def test_what_is_left_over_is_told_for_both_sides_and_nothing_is_loaded() -> None:
    net = model()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = theirs(**{"module.extra.scale": torch.ones(1), "module.body.weight": torch.ones(3, 9)})
    del state["module.fc.bias"]
    with pytest.raises(CheckpointError) as error:
        load_renamed(net, state, TABLE)
    message = str(error.value)
    assert "missing: head.bias" in message
    assert "not used: extra.scale" in message
    assert "other shape: body.weight: (3, 9) in the file, (3, 2) in the model" in message
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_long_list_is_cut_with_its_length() -> None:
    state = theirs(**{f"module.extra{i}": torch.ones(1) for i in range(20)})
    with pytest.raises(CheckpointError, match="and 12 more"):
        load_renamed(model(), state, TABLE)


def test_what_may_miss_may_miss_on_either_side() -> None:
    net = model()
    state = theirs(**{"module.body.num_batches_tracked": torch.tensor(3)})
    del state["module.fc.weight"]
    kept = net.head.weight.clone()
    load_renamed(net, state, TABLE, may_miss=(r"num_batches_tracked$", r"^head\.weight$"))
    assert torch.equal(net.head.weight, kept)
    assert bool((net.body.weight == 0.5).all())


def test_two_keys_that_become_one_are_an_error() -> None:
    """A table that maps two parameters to one name would lose one of them in silence."""
    state = theirs(**{"head.weight": torch.zeros(4, 3)})
    with pytest.raises(CheckpointError, match=r"met twice: head\.weight"):
        load_renamed(model(), state, TABLE)


def test_extra_levels_of_openmmlab_become_coarse() -> None:
    table = (*openmmlab.DETECTION, *openmmlab.extra_levels(3, 2))
    assert rename("neck.fpn_convs.2.conv.weight", table) == "neck.output.2.conv.weight"
    assert rename("neck.fpn_convs.3.conv.weight", table) == "neck.coarse.0.conv.weight"
    assert rename("neck.fpn_convs.4.conv.bias", table) == "neck.coarse.1.conv.bias"
    assert rename("bbox_head.cls_convs.1.gn.weight", table) == "head.class_tower.1.norm.weight"


def test_background_moves_from_first_to_last_and_its_box_goes() -> None:
    names = ("roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred")
    state = {f"{names[0]}.{p}": torch.arange(4.0) for p in ("weight", "bias")}
    state |= {f"{names[1]}.{p}": torch.arange(16.0) for p in ("weight", "bias")}
    moved = torchvision.background_last(state)
    for part in ("weight", "bias"):
        assert moved[f"{names[0]}.{part}"].tolist() == [1, 2, 3, 0]
        assert moved[f"{names[1]}.{part}"].tolist() == list(range(4, 16))
        assert state[f"{names[1]}.{part}"].numel() == 16, "the state given is not changed"
