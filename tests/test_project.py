"""The project files agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import baimu

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\s<>=~!\[;]", line, maxsplit=1)[0].lower().replace("_", "-") for line in requirements}


def test_constraints_are_names_and_versions_of_everything_that_tests_need() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert all(re.fullmatch(r"[a-z0-9-]+", name) and re.fullmatch(r"[\d.]+", v) for name, v in pins.items())
    extras = PROJECT["project"]["optional-dependencies"]
    tested = [line for name in ("video", "pandas", "supervision", "tensorboard") for line in extras[name]]
    needed = names([*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"], *tested])
    assert needed - {"baimu"} <= set(pins)


def test_the_changelog_starts_with_this_version_or_what_is_to_come() -> None:
    heads = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert heads[0] in ("Unreleased", baimu.__version__)


def test_make_explains_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)) - {"help"}
    explained = set(re.findall(r"^# make ([a-z-]+) ", text, re.MULTILINE))
    declared = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()) - {"help"}
    assert targets == explained == declared
