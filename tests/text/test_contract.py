"""What every model of the text room must keep: one list of checks over all names of both tasks."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from baimu.preprocess import preprocess_from_dict
from baimu.targets import ClassTargets, TextTargets
from baimu.weights.checkpoint import describe
from baimu.zoo import create_model, list_models, model_info, recipe_of

K = 4
READERS, TELLERS = list_models(task="text_recognition"), list_models(task="text_classification")
TINY = {"text_recognition": {"hidden": 16}, "text_classification": {"vocabulary": 12, "dim": 6}}
Given = tuple[Tensor, Any]


def build(name: str, num_classes: int = K) -> Any:
    torch.manual_seed(0)
    return create_model(name, num_classes=num_classes, **TINY[model_info(name).task]).eval()


def given(model: Any, count: int = 2, classes: int = K) -> Given:
    """Normalised input and its targets."""
    generator = torch.Generator().manual_seed(3)
    if model.task == "text_recognition":
        images = torch.randn(count, 1, 32, 48, generator=generator)
        rows = [[0, classes - 1, 0], [classes // 2], [classes - 1] * 2][:count]
        return images, TextTargets.collate(rows, [(32, 48)] * count)
    words = torch.randint(1, 12, (count, 7), generator=generator)
    return words, ClassTargets(torch.eye(classes)[torch.arange(count) % classes])


def answer(model: Any, inputs: Tensor) -> Tensor:
    return model.read(inputs).log_p.exp() if model.task == "text_recognition" else model.tell(inputs)


def check_its_name_is_remembered(model: Any) -> None:
    name, arguments = model.spec
    assert arguments["num_classes"] == K
    with torch.device("meta"):
        again = create_model(name, **arguments)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert all(p.is_meta for p in again.parameters())


def check_it_says_what_it_tells_and_how_input_comes_in(model: Any) -> None:
    assert model.num_classes == len(model.classes) == K
    assert preprocess_from_dict(model.preprocess.to_dict()) == model.preprocess
    assert describe(model)["classes"] == list(model.classes)
    assert re.fullmatch(r"\d{4}\.\d{4,5}", model_info(model.spec[0]).paper)
    assert recipe_of(model.spec[0]).epochs >= 1


def check_losses_are_finite_scalars(model: Any) -> None:
    for loss in model.train().losses(*given(model)).values():
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert bool(loss.isfinite())
        assert loss.item() > 0


def check_every_trainable_parameter_has_a_gradient(model: Any) -> None:
    with torch.no_grad():
        for parameter in model.classify.parameters():  # TextCNN begins with zeros there
            parameter.normal_()
    sum(model.train().losses(*given(model)).values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad is not name.startswith("static"), name
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name
            assert bool(parameter.grad.any()), name


def check_probabilities_sum_to_one(model: Any) -> None:
    found = answer(model, given(model)[0])
    torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]))


def check_a_batch_of_one_equals_a_batch_of_two(model: Any) -> None:
    inputs, _ = given(model)
    together = answer(model, inputs)
    for i in range(2):
        torch.testing.assert_close(answer(model, inputs[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-6)


def check_the_loss_is_the_mean_over_the_batch(model: Any) -> None:
    inputs, targets = given(model)
    key = "labels" if model.task == "text_recognition" else "shares"
    whole = sum(model.losses(inputs, targets).values())
    parts = []
    for i in range(2):
        own = {key: getattr(targets, key)[i : i + 1]}
        if targets.sizes is not None:
            own["sizes"] = targets.sizes[i : i + 1]
        parts.append(sum(model.losses(inputs[i : i + 1], type(targets)(**own)).values()))
    assert whole.item() == pytest.approx(sum(parts).item() / 2, rel=1e-4)


def check_one_class_is_enough(model: Any) -> None:
    one = build(model.spec[0], 1)
    inputs, targets = given(one, classes=1)
    assert all(bool(loss.isfinite()) for loss in one.losses(inputs, targets).values())


def check_autocast(model: Any) -> None:
    inputs, targets = given(model)
    plain = sum(model.losses(inputs, targets).values())
    with torch.autocast("cpu", torch.bfloat16):
        half = sum(model.losses(inputs, targets).values())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(plain.item(), rel=0.05)


def check_state_dict_round_trip(model: Any) -> None:
    other = build(model.spec[0])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    inputs, _ = given(model)
    assert torch.equal(answer(other, inputs), answer(model, inputs))


def check_a_copy_is_its_own(model: Any) -> None:
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert not torch.equal(next(other.parameters()), next(model.parameters()))


CHECKS: list[Callable[[Any], None]] = [value for name, value in globals().items() if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", READERS + TELLERS)
def test_contract(name: str, check: Callable[[Any], None]) -> None:
    check(build(name))
