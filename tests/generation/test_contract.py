"""What every maker of images of the catalogue must keep: one list of checks over all names, each built tiny."""

from __future__ import annotations

import copy
import functools
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baimu.generation.translator import Translator
from baimu.preprocess import imagenet
from baimu.results import Picture
from baimu.targets import ImageTargets
from baimu.zoo import create_model, list_models, model_info, recipe_of

Check = Callable[[Any], None]

NAMES = list_models(task="generation")
TINY: dict[str, dict[str, Any]] = {
    "pix2pix": {"levels": 5, "width": 8},
    "cyclegan": {"blocks": 2, "width": 8, "pool_size": 3},
    "srresnet": {"depth": 2, "width": 8},
    "srgan": {"depth": 2, "width": 8, "crop": 32},
}
"""Arguments that make a family small."""
SIDE = 32


def tiny(name: str) -> dict[str, Any]:
    family = next((f for f in TINY if f in name), "")
    return TINY[family]


def pixels(seed: int, count: int = 2, side: int = SIDE) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=made, dtype=torch.uint8)


def step(model: Any, seed: int = 0) -> tuple[Tensor, ImageTargets]:
    """Normalised inputs and what they are to become."""
    small = pixels(seed, side=SIDE // model.scale)
    return model.preprocess.normalize(small), ImageTargets(pixels(seed + 1, side=SIDE // model.scale * model.scale))


def losses_of(model: Any, seed: int = 0) -> dict[str, dict[str, Tensor]]:
    """Of each phase, in order, on one batch."""
    images, targets = step(model, seed)
    return {method: getattr(model, method)(images, targets) for method, _ in model.phases}


def check_its_name_is_remembered(model: Any) -> None:
    name, arguments = model.spec
    info = model_info(name)
    assert isinstance(model, Translator)
    assert (info.task, model.task) == ("generation", "generation")
    assert info.paper
    assert info.title
    assert arguments == tiny(name)


def check_the_recipe_fits_the_model(model: Any) -> None:
    own, recipe = create_model_on_meta(model.spec[0]), recipe_of(model.spec[0])
    step_of = own.scale if own.learns_from == "images" else own.multiple
    assert recipe.size % step_of == 0
    assert (recipe.resize == "none") == (own.learns_from == "images")


def check_phases_share_the_parameters_out(model: Any) -> None:
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    parts = [
        {name for name in learning if not parts or name.startswith(tuple(f"{part}." for part in parts))}
        for _, parts in model.phases
    ]
    assert set.union(*parts) == learning
    assert sum(map(len, parts)) == len(learning)


def check_losses_are_finite_scalars_by_name(model: Any) -> None:
    names: list[str] = []
    for losses in losses_of(model.train()).values():
        names += losses
        for name, loss in losses.items():
            assert loss.shape == ()
            assert loss.dtype == torch.float32
            assert bool(torch.isfinite(loss)), name
            assert loss.item() >= 0
    assert len(names) == len(set(names))


def check_each_phase_reaches_its_parameters_and_only_them(model: Any) -> None:
    model.train()
    images, targets = step(model)
    for method, parts in model.phases:
        inside = tuple(f"{part}." for part in parts)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not inside or name.startswith(inside))
            parameter.grad = None
        torch.stack([*getattr(model, method)(images, targets).values()]).sum().backward()
        for name, parameter in model.named_parameters():
            if not inside or name.startswith(inside):
                assert parameter.grad is not None, f"{name} is not reached by {method}"
                assert bool(torch.isfinite(parameter.grad).all()), name


def check_the_answer_has_the_size_times_the_scale(model: Any) -> None:
    model.eval()
    with torch.no_grad():
        for height, width in ((SIDE, SIDE), (33, 47), (20, 64), (1, 5)):
            images = model.preprocess.normalize(torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8))
            made = model.translate(images)
            assert made.shape == (1, 3, model.scale * height, model.scale * width)
            assert made.dtype == torch.float32
            assert made.min() >= 0
            assert made.max() <= 255


def check_images_do_not_see_each_other(model: Any) -> None:
    images = model.eval().preprocess.normalize(pixels(3))
    with torch.no_grad():
        both, alone = model.translate(images), model.translate(images[:1])
    assert (both[0] - both[1]).abs().max() > 10, "levels of 255, or else one could stand for the other"
    torch.testing.assert_close(both[:1], alone, atol=1e-3, rtol=0)


def check_looking_changes_nothing(model: Any) -> None:
    before = {key: value.clone() for key, value in model.eval().state_dict().items()}
    images = model.preprocess.normalize(pixels(3))
    kept = images.clone()
    with torch.no_grad():
        assert torch.equal(model.translate(images), model.translate(images))
    assert torch.equal(images, kept)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def check_bfloat16_autocast(model: Any) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = [loss for losses in losses_of(model.train()).values() for loss in losses.values()]
    assert {loss.dtype for loss in found} == {torch.float32}
    assert bool(torch.isfinite(torch.stack(found)).all())


def check_its_state_makes_an_equal_model(model: Any) -> None:
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    torch.manual_seed(1)
    again = create_model(model.spec[0], **model.spec[1]).eval()
    again.load_state_dict(torch.load(file, weights_only=True))
    images = model.eval().preprocess.normalize(pixels(3))
    with torch.no_grad():
        assert torch.equal(again.translate(images), model.translate(images))


def check_it_can_be_copied_and_pickled(model: Any) -> None:
    losses_of(model.train())  # a pool that holds something goes along
    images = model.eval().preprocess.normalize(pixels(3))
    with torch.no_grad():
        expected = model.translate(images)
        for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(again.translate(images), expected)
            assert (again.spec, again.classes, again.preprocess) == (model.spec, model.classes, model.preprocess)


def check_channels_last_gives_the_same(model: Any) -> None:
    images = model.eval().preprocess.normalize(pixels(3))
    with torch.no_grad():
        expected = model.translate(images)
        model = model.to(memory_format=torch.channels_last)
        found = model.translate(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


def check_a_folded_copy_gives_the_same(model: Any) -> None:
    images = model.eval().preprocess.normalize(pixels(3))
    with torch.no_grad():
        torch.testing.assert_close(
            model.optimize(compile=False).translate(images), model.translate(images), atol=0.05, rtol=0
        )


def check_it_predicts_in_the_pixels_of_the_source(model: Any) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 52, 3), dtype=np.uint8)
    model.preprocess = model.preprocess.replace(size=SIDE)
    (found,) = model.predict(picture)
    assert isinstance(found, Picture)
    assert found.size == (40, 52)
    assert found.made.shape == (40 * model.scale, 52 * model.scale, 3)
    assert found.draw().size == (52 * model.scale, 40 * model.scale)
    assert found.draw(beside=True).size == (104 * model.scale, 40 * model.scale)


def check_wrong_arguments_are_refused(model: Any) -> None:
    name = model.spec[0]
    with pytest.raises((TypeError, KeyError), match=f"{name}.*widht"):
        create_model(name, widht=3)


CHECKS: tuple[Check, ...] = (
    check_its_name_is_remembered,
    check_the_recipe_fits_the_model,
    check_phases_share_the_parameters_out,
    check_losses_are_finite_scalars_by_name,
    check_each_phase_reaches_its_parameters_and_only_them,
    check_the_answer_has_the_size_times_the_scale,
    check_images_do_not_see_each_other,
    check_looking_changes_nothing,
    check_bfloat16_autocast,
    check_its_state_makes_an_equal_model,
    check_it_can_be_copied_and_pickled,
    check_channels_last_gives_the_same,
    check_a_folded_copy_gives_the_same,
    check_it_predicts_in_the_pixels_of_the_source,
    check_wrong_arguments_are_refused,
)


def create_model_on_meta(name: str) -> Any:
    with torch.device("meta"):
        return create_model(name)


@functools.cache
def built(name: str) -> Any:
    """Kept for the name's next check, which changes a copy only. Norms have seen images, as after training."""
    torch.manual_seed(0)
    model = create_model(name, **tiny(name)).train()
    for seed in range(3):
        losses_of(model, seed)
    for part in model.modules():
        if hasattr(part, "images"):
            part.images = []
    return model


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, check: Check) -> None:
    check(copy.deepcopy(built(name)))


def test_one_that_makes_nothing_is_none() -> None:
    class Idle(Translator):
        pass

    with pytest.raises(TypeError, match=r"abstract.*generate"):
        Idle(imagenet)


def test_every_check_is_listed() -> None:
    assert {name for name in globals() if name.startswith("check_")} == {check.__name__ for check in CHECKS}
