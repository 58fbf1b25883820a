"""What every segmenter of the catalogue must keep: one list of checks over all names.

The smallest name of each family is checked in full; the others differ in depth alone, the paper's FCNs in their skips,
and are checked without numbers.
"""

from __future__ import annotations

import copy
import io
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baimu.preprocess import Preprocess
from baimu.semantic_segmentation.segmenter import Segmenter
from baimu.targets import UNDECIDED, MapTargets
from baimu.weights.outline import outline
from baimu.zoo import create_model, list_models, model_info, recipe_of

Check = Callable[[Segmenter], None]

CLASSES, SIZE = 3, 64
NAMES = list_models(task="semantic_segmentation")
NARROW: dict[str, dict[str, Any]] = {
    "unet": {"widths": (4, 8, 8, 16, 16)},
    "unet_s5_d16": {"widths": (4, 8, 8, 16, 16)},
    "fcn8s_vgg16": {"hidden": 16},
}
"""What makes the large ones small enough to be run hundreds of times."""
SMALLEST = [name for name in NAMES if name in NARROW or name.endswith("_r18")]


def make_images(count: int = 2, height: int = SIZE, width: int = SIZE, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def make_targets(count: int = 2, height: int = SIZE, width: int = SIZE, classes: int = CLASSES) -> MapTargets:
    """Squares of all classes, with undecided pixels at the left."""
    y, x = torch.arange(height)[:, None] // 8, torch.arange(width) // 8
    labels = torch.stack([(x + 2 * y + i) % classes for i in range(count)]).to(torch.uint8)
    labels[:, :, :3] = UNDECIDED
    return MapTargets(labels, torch.tensor([[height, width]] * count))


def build(name: str, *, num_classes: int = CLASSES, **options: Any) -> Segmenter:
    """A model whose scores differ, with statistics as after training; in eval mode."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=num_classes, **{**NARROW.get(name, {}), **options})
    assert isinstance(model, Segmenter)
    for part, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and re.search(r"\b(classify|pool3|pool4)$", part):
            nn.init.normal_(layer.weight, std=0.05 if "pool" not in part else 50.0)  # scores of poolings are scaled
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train().losses(make_images(seed=9), make_targets(classes=num_classes))
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def backward(model: Segmenter, images: Tensor, targets: MapTargets) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    losses = model.losses(images, targets)
    torch.stack([*losses.values()]).sum().backward()
    return losses


def assert_every_parameter_has_a_gradient(model: Segmenter) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} is not reached"
            assert bool(torch.isfinite(parameter.grad).all()), name


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1e-3)


def check_its_name_is_remembered(model: Segmenter) -> None:
    assert model.spec is not None
    name, arguments = model.spec
    with torch.device("meta"):
        again = create_model(name, **arguments)
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    assert {k: v.shape for k, v in again.state_dict().items()} == shapes
    assert all(p.is_meta for p in again.parameters()), "building takes no memory on the meta device"


def check_it_says_what_it_finds_and_how_images_come_in(model: Segmenter) -> None:
    assert model.num_classes == len(model.classes) == CLASSES
    assert isinstance(model.preprocess, Preprocess)
    assert model.preprocess.pad_to == 1, "padding would be seen"


def check_logits_of_every_pixel(model: Segmenter) -> None:
    for height, width in ((SIZE, SIZE), (61, 75), (33, 40)):
        logits = model.segment(make_images(1, height, width))
        assert logits.shape == (1, CLASSES, height, width)
        assert logits.dtype == torch.float32
        assert bool(torch.isfinite(logits).all())
        assert logits.flatten(2).std(2).min() > 0, "the same everywhere"


def check_losses_are_finite_scalars_by_name(model: Segmenter) -> None:
    losses = model.train().losses(make_images(), make_targets())
    assert ("auxiliary" in losses) == (model.auxiliary is not None)
    for name, loss in losses.items():
        assert loss.shape == (), name
        assert loss.dtype == torch.float32, name
        assert 0 < loss.item() < 10, name


def check_every_parameter_learns(model: Segmenter) -> None:
    backward(model.train(), make_images(), make_targets())
    assert_every_parameter_has_a_gradient(model)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert bool(parameter.grad.any()), f"{name} has a gradient of zero"


def check_nothing_decided(model: Segmenter) -> None:
    """Loss and gradient are zero, and none of them is nan."""
    targets = make_targets()
    targets.labels.fill_(UNDECIDED)
    losses = backward(model.train(), make_images(), targets)
    assert [loss.item() for loss in losses.values()] == [0.0] * len(losses)
    assert_every_parameter_has_a_gradient(model)


def check_undecided_pixels_do_not_matter(model: Segmenter) -> None:
    targets, other = make_targets(), make_targets()
    other.labels[:, 40:] = UNDECIDED
    half = model.losses(make_images(), other)
    other.labels[:, :40], other.labels[:, 40:] = UNDECIDED, targets.labels[:, 40:]
    rest = model.losses(make_images(), other)
    for name, whole in model.losses(make_images(), targets).items():  # means over 40 and over 24 of 64 rows
        assert whole.item() == pytest.approx((40 * half[name].item() + 24 * rest[name].item()) / 64, rel=1e-4)


def check_one_class(model: Segmenter) -> None:
    assert model.spec is not None
    single = build(model.spec[0], num_classes=1)
    losses = backward(single.train(), make_images(), make_targets(classes=1))
    assert all(loss.item() == pytest.approx(0, abs=1e-6) for loss in losses.values())
    assert single.eval().segment(make_images(1)).shape == (1, 1, SIZE, SIZE)


def check_a_batch_of_two_is_two_batches_of_one(model: Segmenter) -> None:
    both = model.segment(make_images())
    assert_close(both[1:], model.segment(make_images()[1:]))
    losses = model.losses(make_images()[:1].repeat(2, 1, 1, 1), doubled(make_targets(1)))
    for name, once in model.losses(make_images()[:1], make_targets(1)).items():
        assert losses[name].item() == pytest.approx(once.item(), rel=1e-4)


def doubled(targets: MapTargets) -> MapTargets:
    return MapTargets(targets.labels.repeat(2, 1, 1), targets.sizes.repeat(2, 1))


def check_gradients_stay_with_their_image(model: Segmenter) -> None:
    images = make_images().requires_grad_()
    (slope,) = torch.autograd.grad(model(images)[0].square().sum(), images)
    assert slope[0].abs().sum() > 0
    assert slope[1].abs().sum() == 0


def check_the_state_dict_round_trips(model: Segmenter) -> None:
    assert model.spec is not None
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    again = create_model(model.spec[0], **model.spec[1])
    assert isinstance(again, Segmenter)
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(again.eval().segment(make_images(1)), model.segment(make_images(1)))


def check_it_can_be_copied_and_folded(model: Segmenter) -> None:
    before = model.segment(make_images(1))
    folded = model.optimize(compile=False)
    assert_close(folded.segment(make_images(1)), before)
    assert_close(copy.deepcopy(model).segment(make_images(1)), before, 0)


def check_bfloat16_autocast(model: Segmenter) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.losses(make_images(), make_targets())
        logits = model.segment(make_images())
    assert {loss.dtype for loss in losses.values()} == {logits.dtype} == {torch.float32}
    assert bool(torch.isfinite(logits).all())
    exact = model.losses(make_images(), make_targets())
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(exact[name].item(), rel=0.1)


def check_parameters_that_overflowed_reach_the_loss(model: Segmenter) -> None:
    for parameter in model.parameters():
        nn.init.constant_(parameter, math.nan)
    losses = model.losses(make_images(), make_targets())
    assert not bool(torch.isfinite(torch.stack([*losses.values()])).any())


def check_forward_can_be_exported(model: Segmenter) -> None:
    program = torch.export.export(model, (make_images(1),))
    assert_close(program.module()(make_images(1, seed=3)), model(make_images(1, seed=3)))


CHECKS: list[Check] = [value for name, value in globals().items() if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", SMALLEST)
def test_contract(name: str, check: Check) -> None:
    check(build(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_catalogue_knows_it(name: str) -> None:
    assert re.fullmatch(r"\d{4}\.\d{5}|\d{4}\.\d{4}", model_info(name).paper)
    recipe = recipe_of(name)
    assert recipe.train_crop is not None
    assert outline(name, {}).axes.keys() >= {"head.score.classify.weight" if "vgg" in name else "head.classify.weight"}


def test_windows_and_rejected_arguments() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        create_model("unet", num_classes=0)
    with pytest.raises(ValueError, match="class_weights must be 2"):
        create_model("unet", num_classes=2, class_weights=(1.0,))
    with pytest.raises(ValueError, match="widths must be 5"):
        create_model("unet", widths=(4, 8))
