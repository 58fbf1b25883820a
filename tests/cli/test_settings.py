"""``key=value`` words become recipe values, and what is not one is answered with what to write."""

from __future__ import annotations

import pytest

from baimu.cli.settings import format_setting, parse_settings
from baimu.errors import BaimuError, UnknownNameError
from baimu.recipes import Recipe


def test_values_are_yaml_and_commas_make_lists() -> None:
    words = ["epochs=12", "lr=0.01", "compile=true", "clip_norm=null", "optimizer=adamw", "milestones=0.6,0.9"]
    assert parse_settings([*words, "scale_jitter=[0.8, 1.25]"]) == {
        "epochs": 12,
        "lr": 0.01,
        "compile": True,
        "clip_norm": None,
        "optimizer": "adamw",
        "milestones": [0.6, 0.9],
        "scale_jitter": [0.8, 1.25],
    }


def test_a_recipe_takes_what_was_parsed() -> None:
    recipe = Recipe().replace(**parse_settings(["lr=1e-3", "milestones=0.5,1", "resize=none", "lr_batch_size=null"]))
    assert (recipe.lr, recipe.milestones, recipe.resize, recipe.lr_batch_size) == (1e-3, (0.5, 1.0), "none", None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epochs"], "'epochs' is not a setting; write key=value"),
        (["=12"], "'=12' is not a setting"),
        (["--epochs=12"], "'--epochs=12' is not a setting"),
        (["epochs=1", "epochs=2"], "epochs is given twice: epochs=1 and epochs=2"),
        (["milestones=[0.6"], "'milestones=\\[0.6': the value is neither"),
    ],
)
def test_malformed_words_are_named(words: list[str], message: str) -> None:
    with pytest.raises(BaimuError, match=message):
        parse_settings(words)


def test_an_unknown_field_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown recipe field 'epoch'\. Did you mean epochs\?"):
        Recipe().replace(**parse_settings(["epoch=12"]))


@pytest.mark.parametrize("patterns", [(), ("head.*",), ("*.weight",), ("head.*", "*.bias")])
def test_printed_settings_are_read_back(patterns: tuple[str, ...]) -> None:
    recipe = Recipe().replace(scale_jitter=(0.8, 1.25), clip_norm=35.0, compile=True, penalized=patterns)
    thirds = ("milestones", "crop_ratio")  # which four digits cut
    words = [f"{name}={format_setting(value)}" for name, value in recipe if name not in thirds]
    assert Recipe().replace(**parse_settings(words)) == recipe
