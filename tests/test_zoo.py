"""The catalogue: its generated index is true, lists without building, and answers unknown names with near ones."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from baimu import zoo
from baimu.errors import ArgumentError, BaimuError, UnknownNameError


def test_the_index_equals_the_decorators() -> None:
    written = {name: asdict(info) for name, info in zoo.index().items()}
    found = {row["name"]: row for row in json.loads(json.dumps(zoo._collect()))}
    assert written == found, "run make zoo"


def test_names_say_nothing_of_schedule_or_data() -> None:
    for name in zoo.list_models():
        assert name == name.lower()
        assert not {"1x", "2x", "coco", "voc", "imagenet"} & set(name.split("_"))


def test_every_name_has_paper_title_and_module_of_its_own() -> None:
    for info in zoo.models():
        assert info.paper, info.name
        assert info.title.endswith("."), info.name
        assert info.module.startswith("baimu."), info.name


def test_listing_takes_patterns_and_tasks() -> None:
    assert "fcos_r50_fpn" in zoo.list_models()
    assert zoo.list_models() == sorted(zoo.index())
    assert "fcos_center_r18_fpn" in zoo.list_models("fcos_*r18*")
    assert all(name.startswith("fcos") for name in zoo.list_models("fcos*"))
    assert zoo.list_models("fcos_r50_fpn", task="detection") == ["fcos_r50_fpn"]
    assert zoo.list_models("fcos_r50_fpn", task="tracking") == []


@pytest.mark.parametrize("ask", [zoo.model_info, zoo.recipe_of, zoo.create_model])
def test_an_unknown_name_offers_the_nearest(ask) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'fcos_50_fpn'\. Did you mean fcos_r50_fpn or"):
        ask("fcos_50_fpn")


def test_an_unknown_argument_names_the_model_and_the_argument() -> None:
    with pytest.raises(UnknownNameError, match=r"fcos_r18_fpn 'num_class'\. Did you mean num_classes"):
        zoo.create_model("fcos_r18_fpn", num_class=3)
    with pytest.raises(UnknownNameError, match=r"resnet18 'drpout'\. Did you mean dropout"):
        zoo.create_model("resnet18", drpout=0.1)
    with pytest.raises(UnknownNameError, match=r"fcos_r18_fpn 'score_treshold'\. Did you mean score_threshold"):
        zoo.create_model("fcos_r18_fpn", score_treshold=0.1)


def test_a_value_that_cannot_be_is_both_our_error_and_pythons() -> None:
    for wrong in ("three", 2.5, True, 0):
        with pytest.raises(ArgumentError, match="squeezenet1_1: num_classes") as raised:
            zoo.create_model("squeezenet1_1", num_classes=wrong)
        assert all(isinstance(raised.value, kind) for kind in (BaimuError, ValueError, TypeError))


def test_the_spec_rebuilds_the_model() -> None:
    model = zoo.create_model("fcos_r18_fpn", num_classes=3)
    assert model.spec == ("fcos_r18_fpn", {"num_classes": 3})
    name, arguments = model.spec
    again = zoo.create_model(name, **arguments)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
