"""Files of insightface, reid-strong-baseline and fast-reid are known by themselves and embed as they did there."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import baimu
from baimu.weights.keys import convert_back
from baimu.weights.recognise import source_named
from baimu.zoo import create_model

IMAGES = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))


def written(tmp_path: Path, name: str, origin: str, leave_out: str = "nothing", **arguments: Any) -> tuple[Path, Any]:
    """A model's parameters under the names of ``origin``, and the model."""
    torch.manual_seed(0)
    model = create_model(name, **arguments).eval()
    state = convert_back(model.state_dict(), source_named(origin).route(name))
    path = tmp_path / "file.pth"
    torch.save({key: value for key, value in state.items() if not key.startswith(leave_out)}, path)
    return path, model


def load(path: Path) -> tuple[Any, str]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = baimu.load(path)
    return model, " ".join(str(warning.message) for warning in said)


def test_a_backbone_of_insightface_has_no_identities(tmp_path: Path) -> None:
    path, expected = written(tmp_path, "arcface_iresnet18", "insightface", "head.", num_classes=3, like="insightface")
    model, said = load(path)
    assert model.spec[0] == "arcface_iresnet18"
    assert model.spec[1]["like"] == "insightface"
    assert "head.weight" in said
    torch.testing.assert_close(model.embed(IMAGES), expected.embed(IMAGES))
    assert (model.preprocess.size, model.preprocess.mean) == (112, (127.5, 127.5, 127.5))


@pytest.mark.parametrize(("origin", "like"), [("strong_baseline", "strong_baseline"), ("fastreid", "fastreid")])
def test_persons(tmp_path: Path, origin: str, like: str) -> None:
    path, expected = written(tmp_path, "reid_baseline_r50", origin, "head.centers", num_classes=5, like=like)
    model, said = load(path)
    assert model.spec[0] == "reid_baseline_r50"
    assert model.spec[1]["like"] == like
    assert model.num_classes == 5
    torch.testing.assert_close(model.embed(IMAGES), expected.embed(IMAGES))
    assert ("head.centers" in said) == (origin == "strong_baseline")
