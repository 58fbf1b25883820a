"""Files of pytorch-CycleGAN-and-pix2pix and of BasicSR are recognised and load; ours come back without classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import baimu
from baimu.weights import basicsr, junyanz
from baimu.weights.archive import write_archive
from baimu.weights.checkpoint import describe
from baimu.weights.keys import convert, convert_back
from baimu.zoo import create_model


def theirs(name: str, source: Any, keep: str, **arguments: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """A model of ours, and the part of it that a file of ``source`` has, under its names."""
    torch.manual_seed(0)
    model: Any = create_model(name, **arguments)
    own = {key: value for key, value in model.state_dict().items() if key.startswith(keep)}
    return model, convert_back(own, source.SOURCE.route(name))


@pytest.mark.parametrize(
    ("name", "source", "keep", "wrapper"),
    [
        ("cyclegan_resnet6", junyanz, "generator.b.", None),
        ("msrresnet", basicsr, "generator.", "params"),
        ("msrresnet_x2", basicsr, "generator.", "params_ema"),
        ("msrresnet_x3", basicsr, "generator.", "params"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*fresh:UserWarning", "ignore:.*how images were normalised:UserWarning")
def test_a_file_is_recognised_and_predicts_the_same(
    tmp_path: Path, name: str, source: Any, keep: str, wrapper: str | None
) -> None:
    model, state = theirs(name, source, keep)
    torch.save({wrapper: state} if wrapper else state, tmp_path / "latest.pth")
    loaded: Any = baimu.load(tmp_path / "latest.pth")
    assert loaded.spec[0] == name
    assert loaded.classes in ((), ("A", "B"))
    found = loaded.state_dict()
    assert all(torch.equal(found[key], value) for key, value in model.state_dict().items() if key.startswith(keep))


def test_our_own_files_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name, arguments in (("pix2pix", {"levels": 5, "width": 4}), ("cyclegan", {"blocks": 1, "width": 4})):
        model: Any = create_model(name, **arguments)
        file = tmp_path / f"{name}.safetensors"
        write_archive(file, {f"model.{k}": v for k, v in model.state_dict().items()}, describe(model))
        again: Any = baimu.load(file)
        assert again.spec == (name, arguments)
        assert again.classes == model.classes
        assert again.preprocess == model.preprocess
        assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["pix2pix", "pix2pix_unet128"])
def test_nested_names_of_the_unet_become_levels(name: str) -> None:
    model, state = theirs(name, junyanz, "generator.", width=2)
    last = 7 if name == "pix2pix" else 6
    inner = "model.model.1.model" + ".3.model" * (last - 1)
    assert torch.equal(state[f"{inner}.1.weight"], model.generator.down[last].weight)
    assert torch.equal(state[f"{inner}.3.weight"], model.generator.up[last].weight)
    assert torch.equal(state["model.model.3.bias"], model.generator.up[0].bias)
    found = convert({**state}, model, junyanz.SOURCE)
    assert all(torch.equal(found[key], value) for key, value in model.state_dict().items() if key in found)
    assert len(found) == len(state)


@pytest.mark.filterwarnings("ignore:.*fresh:UserWarning", "ignore:.*how images were normalised:UserWarning")
def test_ours_can_be_written_for_them_without_what_is_apart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = create_model("cyclegan_resnet6")
    file = tmp_path / "ours.safetensors"
    write_archive(file, {f"model.{k}": v for k, v in model.state_dict().items()}, describe(model))
    with pytest.warns(UserWarning, match="parameters are not in such a file and stay out"):
        baimu.convert(file, tmp_path / "net_G.pth", to="junyanz")
    state = torch.load(tmp_path / "net_G.pth", weights_only=True)
    assert torch.equal(state["model.1.weight"], model.generator["b"].stem[1].weight)
    again: Any = baimu.load(tmp_path / "net_G.pth")
    assert all(
        torch.equal(value, again.generator["b"].state_dict()[key])
        for key, value in model.generator["b"].state_dict().items()
    )
