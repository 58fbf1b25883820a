"""``baimu.env``: what it finds is true of this machine, and its table tells what is missing."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform

import torch

import baimu
from baimu import environment


def test_it_tells_this_machine() -> None:
    here = baimu.env()
    assert here.python.startswith(platform.python_version())
    assert 1 <= here.cores <= (os.cpu_count() or 1)
    assert 0.1 < here.memory_gib < 100_000
    assert here.threads == torch.get_num_threads()
    assert here.packages["torch"] == importlib.metadata.version("torch")
    assert {"hotcoco", "pydantic", "safetensors"} <= set(here.packages)
    assert {"av", "pandas", "wandb"} <= set(here.extras)
    assert len(here.devices) >= torch.cuda.device_count()


def test_the_table_has_a_line_a_topic_and_names_what_is_missing() -> None:
    here = dataclasses.replace(
        baimu.env(), packages={"torch": "2.6", "numpy": None}, extras={"av": "12", "wandb": None}, devices=()
    )
    table = dict(line.split(maxsplit=1) for line in str(here).splitlines())
    assert table["packages"] == "torch 2.6, numpy (missing)"
    assert table["extras"] == "av 12; not installed: wandb"
    assert table["devices"] == "cpu only"


def test_the_containers_limit_counts_where_it_is_lower(monkeypatch) -> None:
    machine = environment._memory()
    monkeypatch.setattr(environment, "_read", lambda path: f"{machine // 2}\n")
    assert environment._memory() == machine // 2
    monkeypatch.setattr(environment, "_read", lambda path: "max\n")
    assert environment._memory() >= machine


def test_processor_features_are_read(monkeypatch) -> None:
    text = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 amx_bf16\n"
    monkeypatch.setattr(environment, "_read", lambda path: text)
    assert environment._processor() == ("Some CPU", {"fpu", "avx2", "amx_bf16"})
