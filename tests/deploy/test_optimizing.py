"""The chooser takes the fastest of those that say the same, and tells why not the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baimu.deploy import optimizing
from baimu.deploy.candidates import CANDIDATES, Candidate, candidates_for
from baimu.deploy.optimizing import Choice, Row, optimize, take_turns
from baimu.errors import BaimuError, UnknownNameError
from baimu.layers.fused import FusedConv2d, FusedLinear
from baimu.preprocess import imagenet
from baimu.zoo import create_model


class Clock:
    """Time that passes only where someone sleeps, so that no busy machine makes a test fail."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter

    def sleep(self, seconds: float) -> None:
        self.now += seconds


CLOCK = Clock()


@pytest.fixture(autouse=True)
def _measured_by_the_clock(monkeypatch) -> None:
    monkeypatch.setattr(optimizing, "time", CLOCK)


class Fake(nn.Module):
    """A classifier whose answer and time are known."""

    task = "classification"
    classes = ("cat", "dog", "owl")
    multi_label = False
    preprocess = imagenet.replace(resize="stretch", size=8, pad_to=1)

    def __init__(self, wait: float, *probabilities: float) -> None:
        super().__init__()
        self.wait, self.answer = wait, torch.tensor([probabilities or (0.7, 0.2, 0.1)])

    def classify(self, images: Tensor) -> Tensor:
        CLOCK.sleep(self.wait)
        return self.answer.expand(len(images), -1)


def pictures(count: int = 3, side: int = 8) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (side, side, 3), np.uint8) for _ in range(count)]


def fails(model: Any, images: Any) -> Any:
    raise RuntimeError("this operator is missing\nand more of it")


@pytest.fixture
def tried(monkeypatch) -> Callable[..., None]:
    """These are all the candidates there are, and nobody waits between measurements."""

    def set_candidates(*candidates: Candidate) -> None:
        monkeypatch.setattr("baimu.deploy.candidates.CANDIDATES", candidates)
        monkeypatch.setattr(optimizing, "PAUSE", 0.0)

    return set_candidates


def gives(name: str, wait: float, *probabilities: float, precision: Any = "fp32", **more: Any) -> Candidate:
    return Candidate(name, precision, lambda model, images: Fake(wait, *probabilities), **more)


def rows(choice: Choice) -> dict[str, Row]:
    return {row.name: row for row in choice.rows}


def test_the_fastest_that_says_the_same(tried) -> None:
    tried(gives("slow", 0.02), gives("right", 0.004), gives("wrong", 0.0, 0.2, 0.7, 0.1))
    told: list[str] = []
    found = optimize(Fake(0.03), pictures(), report=told.append)
    assert (found.wait, found.choice.name) == (0.004, "right")
    assert 0.1 < found.choice.share < 0.3
    row = rows(found.choice)
    assert [*row] == ["eager", "slow", "right", "wrong"]
    assert (row["right"].same, row["right"].of, row["right"].difference) == (9, 9, 0.0)
    assert row["slow"].why == "slower"
    assert row["wrong"].ms is None
    assert (row["wrong"].same, row["wrong"].of) == (3, 9)
    assert row["wrong"].why.startswith("another answer, at least 99.5% must be the same;")
    assert "cat" in row["wrong"].why, "what differs most is named"
    assert len(told) == 1
    assert told[0].startswith("Fake in fp32, 1x3x8x8, ")
    assert ": right, " in told[0]
    assert told[0].endswith("of the model as it is, 9 of 9 results the same")


def test_the_model_itself_where_nothing_is_faster(tried) -> None:
    tried(gives("slow", 0.02))
    model = Fake(0.0)
    found = optimize(model, pictures(), report=None)
    assert found.choice.name == "eager"
    assert found is not model
    assert not hasattr(model, "choice"), "the user's model is left alone"


def test_tolerance_is_the_precisions_unless_given(tried) -> None:
    near = (0.68, 0.22, 0.1)  # two of three probabilities are 3 % of the largest off
    tried(gives("near", 0.0, *near), gives("near", 0.0, *near, precision="bf16"))
    name = partial(optimize, Fake(0.01), pictures(), report=None)
    assert name().choice.name == "eager"
    assert name(tolerance=0.3).choice.name == "near"
    assert name(precision="bf16").choice.name == "near bf16"
    assert name(tolerance=optimizing.TOLERANCES["bf16"]).choice.name == "near"


def test_higher_precisions_only_where_the_one_asked_for_gains_little(tried) -> None:
    full, half = gives("full", 0.002), gives("half", 0.004, precision="bf16")
    tried(full, half)
    optimized = optimize(Fake(0.02), pictures(), precision="bf16", report=None)
    assert rows(optimized.choice)["full"].why == "not tried: bf16 is fast enough"
    assert optimized.choice.name == "half bf16"
    tried(full, gives("half", 0.03, precision="bf16"))
    assert optimize(Fake(0.02), pictures(), precision="bf16", report=None).choice.name == "full"


def test_what_cannot_be_built_is_told(tried) -> None:
    tried(
        Candidate("broken", "fp32", fails),
        Candidate("absent", "fp32", fails, extra="onnx", packages=("json", "no_such_package")),
        gives("long", 0.0, seconds=100.0),
    )
    row = rows(optimize(Fake(0.001), pictures(), seconds=50, report=None).choice)
    assert row["broken"].why == "failed: this operator is missing"
    assert row["absent"].why == "not installed: pip install 'baimu[onnx]'"
    assert row["long"].why.startswith("not tried: ")
    named = optimize(Fake(0.01), pictures(), candidates=["long"], seconds=50, report=None).choice
    assert named.name == "long"
    assert [*rows(named)] == ["eager", "long"]
    none = optimize(Fake(0.001), pictures(), seconds=0, report=None).choice
    assert all(row.why.endswith("0 s were left") for row in none.rows[1:])


def test_the_table() -> None:
    choice = Choice(
        (
            Row("eager", 60.04, why="slower"),
            Row("onnx", 30.02, 4000, 4000, 2.34e-06, chosen=True),
            Row("openvino int8", None, 7, 4000, 0.5, why="another answer"),
            Row("compiled", why="not tried: 3 s were left"),
        ),
        "resnet50 in int8, 1x3x224x224, 2 threads",
        12.4,
    )
    assert str(choice).splitlines() == [
        "resnet50 in int8, 1x3x224x224, 2 threads, 12 s of trying",
        "candidate        ms  share          same  difference",
        "eager          60.0   1.00                            slower",
        "onnx           30.0   0.50  4000 of 4000       2e-06  chosen",
        "openvino int8                  7 of 4000         0.5  another answer",
        "compiled                                              not tried: 3 s were left",
    ]
    assert choice.line == (
        "resnet50 in int8, 1x3x224x224, 2 threads: onnx, 30.0 ms, 0.50 of the model as it is, "
        "4000 of 4000 results the same"
    )


def test_errors_name_the_mend(tried) -> None:
    with pytest.raises(UnknownNameError, match="openvino"):
        optimize(Fake(0.0), candidates=["openvin"])
    with pytest.raises(UnknownNameError, match="bf16"):
        optimize(Fake(0.0), precision="bf17")  # type: ignore[arg-type]
    with pytest.raises(BaimuError, match="int8 needs images"):
        optimize(Fake(0.0), precision="int8")
    with pytest.raises(BaimuError, match="there are no images"):
        optimize(Fake(0.0), [])


def test_a_detector_that_finds_nothing_proves_nothing() -> None:
    detector = create_model("fcos_r18_fpn", num_classes=2, score_threshold=1.1).eval()
    detector.preprocess = detector.preprocess.replace(resize="stretch", size=64)
    with pytest.raises(BaimuError, match="finds nothing in these images"):
        detector.optimize(pictures(1, 64), report=None)


def test_turns_begin_with_another_each_time(monkeypatch) -> None:
    monkeypatch.setattr(optimizing, "PAUSE", 0.0)
    calls: list[str] = []
    times = take_turns({name: partial(calls.append, name) for name in "abc"}, 3)
    assert [*times] == ["a", "b", "c"]
    assert "".join(calls) == "bbccaaccaabbaabbcc"


def test_names_and_precisions() -> None:
    names = [str(one) for one in candidates_for("int8", None)]
    assert names[:2] == ["openvino int8", "onnx int8"]
    assert len(names) == len(set(names)) == len(CANDIDATES)
    assert [one.precision for one in candidates_for("bf16", ["onednn", "onnx"])] == ["bf16", "fp32", "fp32"]
    assert "nncf" in next(one for one in CANDIDATES if str(one) == "openvino int8").packages


def test_a_real_classifier_by_its_method() -> None:
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=3).eval()
    model.preprocess = model.preprocess.replace(resize="stretch", size=64)
    fast = model.optimize(pictures(2, 64), candidates=["onednn", "winograd"], report=None)
    assert {row.name for row in fast.choice.rows} == {"eager", "onednn", "winograd"}
    assert all(row.same == row.of == 6 for row in fast.choice.rows[1:])
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fast.classify(images), model.classify(images), atol=1e-5, rtol=1e-4)
    assert fast.predict(pictures(1, 64)[0])[0].names == model.predict(pictures(1, 64)[0])[0].names
    plain = model.optimize(compile=False)
    assert not hasattr(plain, "choice")
    assert any(isinstance(layer, FusedConv2d | FusedLinear) for layer in plain.modules())


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_an_installed_runtime(name: str) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(name, name))
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=3).eval()
    model.preprocess = model.preprocess.replace(resize="stretch", size=64)
    found = model.optimize(pictures(2, 64), candidates=[name], report=None)
    row = rows(found.choice)[name]
    assert (row.same, row.of) == (6, 6), row.why
    assert row.difference < 1e-3
    if found.choice.name == name:  # as on any machine that we know; the file outlives the building
        assert found.predict(pictures(1, 64)[0])[0].names
