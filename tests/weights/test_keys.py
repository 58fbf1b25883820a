"""Key tables: renaming in order, their inverse, strict conversion both ways with both sides named."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from baimu.errors import CheckpointError
from baimu.weights.keys import Route, Source, convert, convert_back, invert, known_share, load_converted, rename

TABLE = ((r"^net\.", "body."), (r"^fc\.(\w+)$", r"head.\1"), (r"^(\d)x(\d)\.", r"part.\2.\1."))
ROUTE = Route(models="any_.*", table=TABLE)


def model() -> nn.Module:
    net = nn.Sequential()
    net.add_module("body", nn.Linear(2, 3))
    net.add_module("head", nn.Linear(3, 4))
    return net


def theirs(**changes: Tensor) -> dict[str, Tensor]:
    values = {k: torch.full_like(v, 0.5) for k, v in model().state_dict().items()}
    return {k.replace("head", "fc").replace("body", "net"): v for k, v in values.items()} | changes


def test_pairs_apply_in_order_each_to_the_answer_of_the_last() -> None:
    assert rename("net.fc.weight", TABLE) == "body.fc.weight", "anchored"
    assert rename("fc.weight", TABLE) == "head.weight"
    assert rename("a", (("a", "b"), ("b", "c"))) == "c"


def test_a_table_turned_round_undoes_it() -> None:
    back = invert(TABLE)
    for key in ("net.weight", "fc.bias", "3x1.weight", "other.weight"):
        assert rename(rename(key, TABLE), back) == key
    assert rename("1x2.w", TABLE) == "part.2.1.w"


def test_a_table_knows_what_it_renames_drops_or_has_in_common_with_us() -> None:
    route = Route(models="", table=TABLE, drop=(r"^step$",), older=((r"^network\.", "net."),), same=(r"^body\.",))
    assert known_share(["net.weight", "fc.bias", "network.bias", "step", "body.scale"], route) == 1
    assert known_share(["net.weight", "other.weight", "fc", "step"], route) == pytest.approx(1 / 3)
    assert known_share(["step"], route) == known_share([], route) == 0


NAMES = st.lists(st.from_regex(r"[a-z]{1,3}[0-9]?", fullmatch=True), min_size=1, max_size=4).map(".".join)


@given(st.permutations([0, 1, 2]), st.tuples(NAMES, NAMES, NAMES), st.tuples(NAMES, NAMES, NAMES))
def test_any_order_of_groups_is_undone(order: list[int], literals: tuple[str, ...], values: tuple[str, ...]) -> None:
    """Groups between literals, in any order of the replacement: the way there and back is where one began."""
    parts = [name.replace(".", r"\.") for name in literals]
    pattern = "^" + "/".join(rf"{part}_([\w.]+)" for part in parts).replace("/", "-") + "$"
    answer = "+".join(rf"\{i + 1}" for i in order)
    key = "-".join(f"{name}_{value}" for name, value in zip(literals, values, strict=True))
    table = ((pattern, answer),)
    assert rename(key, table) == "+".join(values[i] for i in order)
    assert rename(rename(key, table), invert(table)) == key


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ((r"(gn|bn)\.", "norm."), "exactly once"),
        ((r"(a)(b)", r"\1\1"), "exactly once"),
        ((r"(?:a|b)", "c"), "cannot be inverted"),
        ((r"((a)b)", r"\1"), "cannot be inverted"),
        ((r"a|b", "c"), "cannot be inverted"),
        ((r"a+", "b"), "cannot be inverted"),
        ((r"a.b", "c"), "cannot be inverted"),
    ],
)
def test_what_loses_something_cannot_be_turned_round(pair: tuple[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        invert((pair,))


def test_every_value_arrives_and_goes_back() -> None:
    net = model()
    load_converted(net, theirs(), ROUTE)
    assert all(bool((v == 0.5).all()) for v in net.state_dict().values())
    back = convert_back(net.state_dict(), ROUTE)
    assert back.keys() == theirs().keys()
    assert all(torch.equal(back[k], v) for k, v in theirs().items())


def test_what_is_left_over_is_told_for_both_sides_and_nothing_is_loaded() -> None:
    net = model()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = theirs(**{"net.extra": torch.ones(1), "net.weight": torch.ones(3, 9)})
    state["fc.bios"] = state.pop("fc.bias")
    with pytest.raises(CheckpointError) as error:
        load_converted(net, state, ROUTE)
    message = str(error.value)
    assert "missing: head.bias (near head.bios)" in message
    assert "not used: body.extra, head.bios" in message
    assert "other shape: body.weight: (3, 9) in the file, (3, 2) in the model" in message
    assert "26% of the parameters match" in message, "15 elements of 25 and 47"
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_long_list_is_cut_with_its_length() -> None:
    state = theirs(**{f"extra{i}": torch.ones(1) for i in range(20)})
    with pytest.raises(CheckpointError, match="and 12 more"):
        load_converted(model(), state, ROUTE)


def test_what_may_miss_may_miss_and_what_is_dropped_is_not_missed() -> None:
    net = model()
    state = theirs(anchors=torch.ones(4))
    del state["fc.weight"]
    kept = net.head.weight.clone()
    load_converted(net, state, Route("", TABLE, may_miss=(r"^head\.weight$",), drop=(r"^anchors$",)))
    assert torch.equal(net.head.weight, kept)
    assert bool((net.body.weight == 0.5).all())
    with pytest.raises(CheckpointError, match="not used: anchors"):
        load_converted(net, state, Route("", TABLE, may_miss=(r"^head\.weight$",)))


def test_older_names_are_read_and_present_ones_are_written() -> None:
    route = Route("", TABLE, older=((r"^old_(net|fc)\.", r"\1."),))
    old = {f"old_{key}": value for key, value in theirs().items()}
    assert convert_back(convert(old, model(), route), route).keys() == theirs().keys()


def test_values_change_in_their_names_on_either_way() -> None:
    def doubled(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v * 2 if k == "fc.bias" else v for k, v in state.items()}

    def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v / 2 if k == "fc.bias" else v for k, v in state.items()}

    route = Route("", TABLE, to_ours=doubled, to_theirs=halved)
    ours = convert(theirs(), model(), route)
    assert bool((ours["head.bias"] == 1).all())
    assert bool((ours["head.weight"] == 0.5).all())
    assert bool((convert_back(ours, route)["fc.bias"] == 0.5).all())


def test_two_keys_that_become_one_are_an_error() -> None:
    """A table that maps two parameters to one name would lose one of them in silence."""
    with pytest.raises(CheckpointError, match=r"would be lost: \['head\.weight'\]"):
        load_converted(model(), theirs(**{"head.weight": torch.zeros(4, 3)}), ROUTE)


def test_a_parameter_that_the_source_does_not_have_cannot_be_written_for_it() -> None:
    ours = model().state_dict() | {"neck.weight": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"no such parameters: neck\.weight"):
        convert_back(ours, ROUTE)
    convert_back(ours, Route("", TABLE, same=(r"^neck\.",)))


def test_a_source_finds_the_route_of_a_model_or_says_what_it_has() -> None:
    source = Source("theirs", routes=(ROUTE,))
    assert source.route("any_model") is ROUTE
    with pytest.raises(CheckpointError, match=r"many_models: there is no table for weights of theirs; it has: any_"):
        source.route("many_models")
