"""What ``playground:train=100,size=96`` draws for each kind of data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from baimu.datasets.label_maps import SceneMaps
from baimu.errors import DataError, unknown

Found = dict[str, Callable[[], Any]]
"""The splits of one data set by name, each to be read when called; empty where a format is not recognised."""


def scenes(text: str) -> Found:
    """Scenes with the options that ``text`` names after a colon."""
    from baimu.datasets.playground import Playground

    options = playground_options(text, {"train": 1000, "val": 200, "size": 160, "seed": 0})
    # Seeds of train and val differ, so that the scenes of val stay the same whatever the length of train.
    count, size, seed = ("train", "val"), options["size"], 2 * options["seed"]
    return {name: partial(Playground, options[name], size=size, seed=seed + i) for i, name in enumerate(count)}


def drawn_maps(text: str) -> Found:
    """Scenes with the class of each pixel."""
    return {name: partial(lambda read: SceneMaps(read()), read) for name, read in scenes(text).items()}


def moving_scenes(text: str) -> Found:
    """Moving playground scenes, with the options that ``text`` names after a colon."""
    from baimu.datasets.moving import MovingPlayground

    options = playground_options(text, {"train": 400, "val": 40, "length": 40, "size": 160, "seed": 0})
    length, size, seed = options["length"], options["size"], 2 * options["seed"]
    parts = enumerate(("train", "val"))
    return {name: partial(MovingPlayground, options[name], length, size, seed + i) for i, name in parts}


def drawn_pairs(text: str) -> Found:
    """Maps of playground scenes with the scenes."""
    from baimu.datasets.playground_images import PlaygroundPairs

    return {name: partial(lambda read: PlaygroundPairs(read()), read) for name, read in scenes(text).items()}


def day_and_night(text: str) -> Found:
    """Playground scenes of two styles: so many of each."""
    from baimu.datasets.playground_images import DayAndNight

    options = playground_options(text, {"train": 500, "val": 50, "size": 128, "seed": 0})
    size, seed = options["size"], 2 * options["seed"]
    return {name: partial(DayAndNight.of, options[name], size, seed + i) for i, name in enumerate(("train", "val"))}


def drawn_lines(text: str) -> Found:
    """Lines of text, by default of 32 pixels."""
    from baimu.datasets.text_lines import TextLines

    options = playground_options(text, {"train": 2000, "val": 200, "size": 32, "seed": 0})
    seed = 2 * options["seed"]
    return {n: partial(TextLines, options[n], options["size"], seed + i) for i, n in enumerate(("train", "val"))}


def characters(text: str) -> Found:
    """Identities that are drawn characters; those of val are others than those of train."""
    from baimu.datasets.characters import Characters

    options = playground_options(text, {"train": 100, "val": 30, "images": 20, "size": 48, "seed": 0})
    people = {"train": range(options["train"]), "val": range(-options["val"], 0)}
    return {
        name: partial(Characters, numbers, options["images"], options["size"], options["seed"])
        for name, numbers in people.items()
    }


def playground_options(text: str, usual: dict[str, int]) -> dict[str, int]:
    """``usual`` with what ``text`` ("playground:train=100,size=96") has otherwise."""
    options = dict(usual)
    for pair in filter(None, text.partition(":")[2].split(",")):
        key, _, value = (part.strip() for part in pair.partition("="))
        if key not in options:
            raise unknown("playground option", key, options)
        if not value.isdigit() or (key != "seed" and int(value) == 0):
            raise DataError(
                f"{text}: {key}={value!r} must be a whole number, as in playground:train=1000,val=200,size=160"
            )
        options[key] = int(value)
    return options
