"""``key=value`` words become recipe values, and what is not one is answered with what to write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from baimu.cli.settings import format_setting, parse_options, parse_settings
from baimu.errors import BaimuError, UnknownNameError
from baimu.inference.options import option_types
from baimu.inference.tasks import TASKS
from baimu.recipes import Recipe

TYPES: dict[str, Any] = {
    "count": int | None,
    "share": float,
    "flip": bool,
    "file": str | Path | Sequence[str] | None,
    "names": Sequence[str],
    "scales": Sequence[float],
    "window": int | Sequence[int] | None,
}


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


def test_options_are_of_their_types() -> None:
    words = ["count=3", "share=0.5", "flip=true", "file=a,b.txt", "names=no", "scales=1,1.5", "window=24"]
    assert parse_options(words, "option", TYPES) == {
        "count": 3, "share": 0.5, "flip": True, "file": "a,b.txt", "names": ["no"], "scales": [1.0, 1.5], "window": 24
    }  # fmt: skip
    assert parse_options(["window=24,32", "names=yes,12", "scales=2", "file=2024"], "option", TYPES) == {
        "window": [24, 32], "names": ["yes", "12"], "scales": [2.0], "file": "2024"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["count=1.5"], "count=1.5: give a whole number$"),
        (["share=half"], "share=half: give a number$"),
        (["flip=maybe"], "flip=maybe: give true or false$"),
        (["scales=1,x"], "scales=1,x: give a number, or several with commas between$"),
        (["flip"], "'flip' is not a setting; write key=value, for example flip=true"),
        (["count=1", "count=2"], "count is given twice: count=1 and count=2"),
        (["scale=1"], r"unknown option 'scale'\. Did you mean scales"),
    ],
)
def test_options_of_another_type_are_named(words: list[str], message: str) -> None:
    with pytest.raises(BaimuError, match=message):
        parse_options(words, "option", TYPES)


@pytest.mark.parametrize("task", TASKS)
def test_the_options_of_every_task_can_be_written(task: str) -> None:
    types = option_types(TASKS[task])
    assert types
    for name, kind in types.items():
        text = "true" if "bool" in str(kind) else "1"
        assert parse_options([f"{name}={text}"], "option", types)[name] in (True, 1, "1", ["1"], [1])
