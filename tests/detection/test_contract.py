"""What every detector of the catalogue must keep: one list of checks over all names.

A family (the same method on backbones of several depths) is checked in full on its smallest name; the others of the
family differ in depth alone and get the checks that a wrong wiring of the depth would fail.
"""

from __future__ import annotations

import copy
import functools
import io
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baimu.detection.detector import Candidates, Detector
from baimu.detection.two_stage import TwoStage
from baimu.errors import DataError
from baimu.ops.nms import Detected
from baimu.preprocess import Preprocess
from baimu.sample.random import sample_all, sample_random
from baimu.targets import Targets
from baimu.zoo import create_model, list_models, model_info, recipe_of

Check = Callable[[Detector], None]

CLASSES, SIZE = 3, 64
NAMES = list_models(task="detection") + list_models(task="instance_segmentation")
MAY_BE_FLAT = (
    "head.scales.",
    *(f"decoder.layers.0.{part}" for part in ("attention.in_proj_weight", "attention.out_proj.weight", "norm1.weight")),
)
"""Parameters whose gradient may be zero: a level's scale, where no object is of its size; the weights of DETR's first
self-attention, which reads states of zero (its biases learn)."""


def family(name: str) -> str:
    return re.sub(r"_[rx]\d+(_\d+x\d+d)?", "", name)


def depth(name: str) -> int:
    found = re.search(r"_[rx](\d+)", name)
    return int(found[1]) if found else 0


SMALLEST = {min((n for n in NAMES if family(n) == f), key=depth) for f in map(family, NAMES)}

BOXES = [torch.tensor([[6.0, 8, 30, 41], [34, 20, 61, 44]]), torch.tensor([[10.0, 29, 51, 62]])]
LABELS = [torch.tensor([0, 2]), torch.tensor([1])]
NOTHING = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


def make_images(count: int = 2, height: int = SIZE, width: int = SIZE, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def make_targets(*objects: tuple[Tensor, Tensor], size: tuple[int, int] = (SIZE, SIZE)) -> Targets:
    objects = objects or tuple(zip(BOXES, LABELS, strict=True))
    boxes, labels = zip(*objects, strict=True)
    return Targets.collate(boxes, labels, [size] * len(objects), [ellipses(b, size) for b in boxes])


def ellipses(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The mask of each object: the ellipse in its box."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    x1, y1, x2, y2 = boxes[..., None, None].unbind(1)
    return ((2 * x - x1 - x2) / (x2 - x1)).square() + ((2 * y - y1 - y2) / (y2 - y1)).square() < 1


def build(name: str, *, num_classes: int = CLASSES, scratch: bool = True) -> Detector:
    """A model of moderate activations and of scores that differ, as after training; in eval mode."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=num_classes, scratch=scratch)
    assert isinstance(model, Detector)
    for part, layer in model.named_modules():
        if part.endswith(("classify", "objectness", "predict")):
            nn.init.normal_(layer.weight, std=0.05)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(make_images(seed=9))
    for norm in norms:
        norm.momentum = 0.1
    model.score_threshold = 0.002
    if isinstance(model, TwoStage):  # fewer RoIs are as good here, and several times faster
        model.train_proposals = model.test_proposals = (200, 60)
        model.rpn_border = None  # no anchor of the coarser maps fits into images this small
        model.roi_sampler = partial(sample_random, count=48, positive_share=0.25)
    return model.eval()


def without_chance(model: Detector) -> Detector:
    """All samples count, so that two calls see the same."""
    for name in ("rpn_sampler", "roi_sampler"):
        if hasattr(model, name):
            setattr(model, name, sample_all)
    return model


def tensors(outputs: object) -> list[Tensor]:
    """All tensors of a forward's answer, nested as they may be."""
    if isinstance(outputs, Tensor):
        return [outputs]
    assert isinstance(outputs, tuple | list)
    return [x for part in outputs for x in tensors(part)]


def total(losses: dict[str, Tensor], kind: str = "") -> Tensor:
    """The sum of all, or of one kind: a cascade has ``cls1``, ``cls2``, …"""
    return torch.stack([loss for name, loss in losses.items() if name.startswith(kind)]).sum()


def backward(model: Detector, images: Tensor, targets: Targets) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    losses = model.losses(images, targets)
    total(losses).backward()
    return losses


def assert_finite(losses: dict[str, Tensor]) -> None:
    for name, loss in losses.items():
        assert bool(torch.isfinite(loss)), f"{name}: {loss}"


def assert_every_parameter_has_a_gradient(model: Detector) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} is not reached"
            assert bool(torch.isfinite(parameter.grad).all()), name


def assert_same_losses(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, loss in found.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-4, abs=1e-6), name


def assert_close(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-4) -> None:
    assert len(found) == len(expected)
    for x, y in zip(found, expected, strict=True):
        assert x.shape == y.shape
        assert bool(((x.float() - y.float()).abs() <= tolerance * y.float().abs().amax().clamp(min=1e-3)).all())


def assert_same_detections(found: Detected, expected: Detected) -> None:
    """As sets: each detection has its like, of the same class, within a tenth of a pixel and a thousandth of score; and
    the likes' masks are alike."""
    assert found.counts.tolist() == expected.counts.tolist()
    for i, count in enumerate(expected.counts.tolist()):
        apart = (found.boxes[i, :count, None] - expected.boxes[i, None, :count]).abs().amax(-1)
        apart = apart + 100 * (found.scores[i, :count, None] - expected.scores[i, None, :count]).abs()
        apart = apart + 1e6 * (found.labels[i, :count, None] != expected.labels[i, None, :count])
        assert bool((apart.amin(0) < 0.1).all())
        assert bool((apart.amin(1) < 0.1).all())
        if expected.masks is not None:
            assert found.masks is not None
            unlike = (found.masks[i, apart.argmin(0)] - expected.masks[i, :count]).abs()
            assert unlike.mean() < 1e-3


# Checks of every name.


def check_its_name_is_remembered(model: Detector) -> None:
    assert model.spec is not None
    name, arguments = model.spec
    assert arguments == {"num_classes": CLASSES, "scratch": True}
    with torch.device("meta"):
        again = create_model(name, **arguments)
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    assert {k: v.shape for k, v in again.state_dict().items()} == shapes
    assert all(p.is_meta for p in again.parameters()), "building takes no memory on the meta device"


def check_it_says_what_it_finds_and_how_images_come_in(model: Detector) -> None:
    assert model.num_classes == len(model.classes) == CLASSES
    assert isinstance(model.preprocess, Preprocess)
    assert model.spec is not None
    assert re.fullmatch(r"\d{4}\.\d{5}", model_info(model.spec[0]).paper)
    assert recipe_of(model.spec[0]).epochs >= 1


def check_losses_are_finite_scalars_by_name(model: Detector) -> None:
    losses = model.train().losses(make_images(), make_targets())
    for name, loss in losses.items():
        assert loss.shape == (), name
        assert loss.dtype == torch.float32, name
        assert loss.item() > 0, name
    assert_finite(losses)


def check_every_parameter_learns(model: Detector) -> None:
    backward(model.train(), make_images(), make_targets())
    assert_every_parameter_has_a_gradient(model)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not name.startswith(MAY_BE_FLAT):
            assert bool(parameter.grad.any()), f"{name} has a gradient of zero"


def check_detections_are_padded_sorted_and_inside(model: Detector) -> None:
    sizes = torch.tensor([[SIZE, SIZE], [40, 52]])
    boxes, scores, labels, counts, _ = model.detect(make_images(), sizes)
    places = model.max_detections
    assert boxes.shape == (2, places, 4)
    assert boxes.dtype == scores.dtype == torch.float32
    for i, count in enumerate(counts.tolist()):
        assert 0 < count <= places
        assert bool((scores[i, :count].diff() <= 0).all())
        assert model.score_threshold**2 < scores[i, :count].min()
        assert scores[i].max() <= 1
        assert set(labels[i, :count].tolist()) <= set(range(CLASSES))
        x1, y1, x2, y2 = boxes[i, :count].unbind(1)
        height, width = sizes[i].tolist()
        assert bool(((x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height)).all())
        assert bool(((x2 > x1) & (y2 > y1)).all()), "a box without area is no detection"
        assert boxes[i, count:].abs().sum() == scores[i, count:].abs().sum() == 0
        assert set(labels[i, count:].tolist()) <= {-1}


def check_masks_are_probabilities_on_the_grid_of_their_box(model: Detector) -> None:
    """Of models that learn from masks; the others give none, and learn without."""
    found = model.detect(make_images())
    if not model.needs_masks:
        assert found.masks is None
        assert_finite(model.losses(make_images(), replace(make_targets(), masks=None)))
        return
    assert found.masks is not None
    assert found.masks.shape == (*found.scores.shape, 28, 28)
    assert found.masks.dtype == torch.float32
    real = found.labels >= 0
    assert bool((found.masks[real] > 0).all())
    assert bool((found.masks[real] < 1).all())
    assert found.masks[real].flatten(1).std(1).min() > 1e-4, "a mask that is the same everywhere says nothing"
    assert not found.masks[~real].any()
    with pytest.raises(DataError, match="learns masks and these objects have none"):
        model.losses(make_images(), replace(make_targets(), masks=None))


# Checks of the smallest name of each family.


def check_forward_is_of_one_type_in_both_modes(model: Detector) -> None:
    evaluated, trained = model(make_images()), model.train()(make_images())
    assert type(evaluated) is type(trained)
    assert isinstance(evaluated, tuple)
    assert [x.shape for x in tensors(evaluated)] == [x.shape for x in tensors(trained)]


def check_no_objects(model: Detector) -> None:
    losses = backward(model.train(), make_images(), make_targets(NOTHING, NOTHING))
    assert_finite(losses)
    assert_every_parameter_has_a_gradient(model)
    assert total(losses, "cls") > 0
    of_objects = re.compile(r"(rpn_)?box|mask|center")
    assert all(loss == 0 for name, loss in losses.items() if of_objects.match(name))


def check_a_half_empty_batch(model: Detector) -> None:
    losses = backward(model.train(), make_images(), make_targets((BOXES[0], LABELS[0]), NOTHING))
    assert_finite(losses)
    assert_every_parameter_has_a_gradient(model)
    assert total(losses, "box") > 0


def check_one_object_in_one_image(model: Detector) -> None:
    losses = backward(model, make_images(1), make_targets((BOXES[1], LABELS[1])))
    assert_finite(losses)
    assert_every_parameter_has_a_gradient(model)


def check_odd_objects(model: Detector) -> None:
    """One pixel, the whole image, beyond its edge, the same place twice with two classes, and a crowd of them."""
    odd = torch.tensor([[20.0, 20, 21, 21], [0, 0, SIZE, SIZE], [50, 50, 90, 80], [6, 8, 30, 41], [6, 8, 30, 41]])
    corner = torch.randint(0, 40, (60, 2), generator=torch.Generator().manual_seed(0)).float()
    many = torch.cat([corner, corner + 12], 1)
    losses = backward(
        model, make_images(), make_targets((odd, torch.tensor([0, 1, 2, 0, 1])), (many, torch.arange(60) % CLASSES))
    )
    assert_finite(losses)
    assert_every_parameter_has_a_gradient(model)


def check_one_class(model: Detector) -> None:
    assert model.spec is not None
    single = build(model.spec[0], num_classes=1)
    targets = make_targets(*((b, torch.zeros(len(b), dtype=torch.int64)) for b in BOXES))
    assert_finite(backward(single.train(), make_images(), targets))
    assert_every_parameter_has_a_gradient(single)
    found = single.eval().detect(make_images())
    assert set(found.labels[0, : found.counts[0]].tolist()) == {0}


def check_the_defaults_freeze_the_first_stages(model: Detector) -> None:
    """Without ``scratch``: the stem and C2 learn nothing, everything else does."""
    assert model.spec is not None
    frozen = build(model.spec[0], scratch=False).train()
    still = {
        n for n, p in frozen.named_parameters() if not p.requires_grad and not re.search(r"\b(bn\d|downsample\.1)\.", n)
    }
    stages = {".".join(n.split(".")[:2]) for n in still}
    assert stages == {"backbone.conv1", "backbone.layer1"}
    before = {k: v.clone() for k, v in frozen.named_buffers()}
    assert_finite(backward(frozen, make_images(), make_targets()))
    assert_every_parameter_has_a_gradient(frozen)
    assert all(torch.equal(v, before[k]) for k, v in frozen.named_buffers()), "no statistics change"


def check_the_order_of_objects_does_not_matter(model: Detector) -> None:
    without_chance(model)
    turned = [(b.flip(0), l.flip(0)) for b, l in zip(BOXES, LABELS, strict=True)]
    assert_same_losses(model.losses(make_images(), make_targets(*turned)), model.losses(make_images(), make_targets()))


def check_padded_objects_do_not_matter(model: Detector) -> None:
    without_chance(model)
    plain = make_targets()
    padded = Targets(
        torch.cat([plain.boxes, torch.zeros(2, 4, 4)], 1),
        torch.cat([plain.labels, torch.full((2, 4), -1)], 1),
        plain.sizes,
        plain.masks,
    )
    assert_same_losses(model.losses(make_images(), padded), model.losses(make_images(), plain))


def check_the_same_image_twice_has_the_loss_of_one(model: Detector) -> None:
    """Losses are divided by what the batch holds, not by the number of images alone."""
    without_chance(model)
    one = (BOXES[0], LABELS[0])
    once = model.losses(make_images(1), make_targets(one))
    assert_same_losses(model.losses(make_images(1).repeat(2, 1, 1, 1), make_targets(one, one)), once)


def check_images_do_not_see_each_other(model: Detector) -> None:
    both, alone = model.detect(make_images()), model.detect(make_images()[:1])
    assert_same_detections(Detected(*(None if x is None else x[:1] for x in both)), alone)


def check_gradients_stay_with_their_image(model: Detector) -> None:
    images = make_images().requires_grad_()
    scores = [x for x in tensors(model(images)) if x.requires_grad and x.shape[0] == 2]
    (slope,) = torch.autograd.grad(sum(x[0].sum() for x in scores), images)
    assert slope[0].abs().sum() > 0
    assert slope[1].abs().sum() == 0


def check_bfloat16_autocast(model: Detector) -> None:
    images = make_images(2, 96, 96)  # of a map one cell wide, oneDNN's bfloat16 gradient of a strided 3x3 is garbage
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.losses(images, make_targets())
        found = model.detect(images)
    total(losses).backward()
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert_finite(losses)
    assert_every_parameter_has_a_gradient(model)
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert bool(torch.isfinite(found.boxes).all())
    exact = model.losses(images, make_targets())
    assert total(losses, "cls").item() == pytest.approx(total(exact, "cls").item(), rel=0.1)


def check_parameters_that_overflowed_reach_the_loss(model: Detector) -> None:
    """The engine stops at a loss that is not finite and names it: nothing may fail before that."""
    for parameter in model.parameters():
        nn.init.constant_(parameter, math.nan)
    assert not bool(torch.isfinite(total(model.losses(make_images(), make_targets()))))
    found = model.detect(make_images())
    assert found.counts.tolist() == [0, 0]
    assert bool(torch.isfinite(found.boxes).all())


def check_wild_regression_gives_no_impossible_boxes(model: Detector) -> None:
    """Boxes shifted or blown out of the image: what is left of them lies in it and has an area, or is not found."""
    outer = [layer for name, layer in model.named_modules() if re.fullmatch(r"head\.(\w+\.)*regress", name)][-1]
    assert isinstance(outer.bias, Tensor)
    for value in (30.0, -30.0, 1e4, -1e4):
        nn.init.constant_(outer.bias, value)
        found = model.detect(make_images())
        assert bool(((found.boxes >= 0) & (found.boxes <= SIZE)).all())
        real = found.scores > 0
        assert bool((found.boxes[..., 2:] > found.boxes[..., :2])[real].all())


def check_its_state_makes_an_equal_model(model: Detector) -> None:
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert model.spec is not None
    name, arguments = model.spec
    torch.manual_seed(1)
    again = create_model(name, **arguments).eval()
    again.load_state_dict(torch.load(file, weights_only=True))
    if isinstance(model, TwoStage):  # a setting of this test, not of the state
        again.test_proposals = model.test_proposals
    for x, y in zip(tensors(again(make_images())), tensors(model(make_images())), strict=True):
        assert torch.equal(x, y)


def check_it_can_be_copied_and_pickled(model: Detector) -> None:
    expected = tensors(model(make_images()))
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert all(torch.equal(x, y) for x, y in zip(tensors(again(make_images())), expected, strict=True))
        assert (again.spec, again.classes, again.preprocess) == (model.spec, model.classes, model.preprocess)


def check_candidates_are_of_one_count_whatever_the_image(model: Detector) -> None:
    sizes = torch.tensor([[SIZE, SIZE], [20, 30]])
    counts = set()
    for images in (make_images(), torch.zeros(2, 3, SIZE, SIZE), make_images(seed=5) * 50):
        candidates = model.decode(model(images), sizes)
        assert isinstance(candidates, Candidates)
        count = candidates.scores.shape[1]
        assert candidates.boxes.shape == (2, count, 4)
        assert candidates.labels.shape == (2, count)
        counts.add(count)
    assert len(counts) == 1


def check_channels_last_gives_the_same(model: Detector) -> None:
    found, losses = model.detect(make_images()), without_chance(model).losses(make_images(), make_targets())
    model = model.to(memory_format=torch.channels_last)
    images = make_images().to(memory_format=torch.channels_last)
    assert_same_detections(model.detect(images), found)
    assert_same_losses(model.losses(images, make_targets()), losses)


def check_other_sizes(model: Detector) -> None:
    """Oblong, not a multiple of any stride, and smaller than the coarsest cell."""
    for height, width in ((32, 96), (75, 50), (33, 33)):
        images = make_images(2, height, width)
        box = torch.tensor([[4.0, 5, 28, 30]])
        targets = make_targets(*[(box, torch.tensor([1]))] * 2, size=(height, width))
        assert_finite(model.losses(images, targets))
        found = model.detect(images)
        assert found.boxes[..., [0, 2]].max() <= width
        assert found.boxes[..., [1, 3]].max() <= height


def check_looking_changes_nothing(model: Detector) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    images = make_images()
    first, second = model.detect(images), model.detect(images)
    assert all(x is y or torch.equal(x, y) for x, y in zip(first, second, strict=True))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(images, make_images()), "the images are not written to"
    assert not model.training
    assert not any(x is not None and x.requires_grad for x in first)


def check_limits_are_kept(model: Detector) -> None:
    found = model.detect(make_images())
    best = found.scores[:, 0].min().item()
    model.max_detections = 3
    few = model.detect(make_images())
    assert few.boxes.shape == (2, 3, 4)
    assert torch.equal(few.scores, found.scores[:, :3])
    model.score_threshold = 1.0
    assert model.detect(make_images()).counts.tolist() == [0, 0]
    assert best > 0


def check_it_predicts_in_the_pixels_of_the_source(model: Detector) -> None:
    model.preprocess = model.preprocess.replace(size=SIZE, max_size=2 * SIZE)
    picture = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)
    (found,) = model.predict(picture, score_threshold=0.0)
    assert found.size == (32, 48)
    assert len(found) > 0
    assert found.boxes[:, [0, 2]].max() <= 48
    assert found.boxes[:, [1, 3]].max() <= 32
    assert set(found.class_names) <= set(model.classes)
    assert (found.masks is None) == (not model.needs_masks)


def check_wrong_arguments_are_refused(model: Detector) -> None:
    assert model.spec is not None
    name = model.spec[0]
    with pytest.raises(ValueError, match="num_classes counts the foreground classes and must be at least 1, got 0"):
        create_model(name, num_classes=0)
    with pytest.raises((TypeError, KeyError), match=f"{name}.*num_clases"):
        create_model(name, num_clases=3)


OF_EVERY_NAME: tuple[Check, ...] = (
    check_its_name_is_remembered,
    check_it_says_what_it_finds_and_how_images_come_in,
    check_losses_are_finite_scalars_by_name,
    check_every_parameter_learns,
    check_detections_are_padded_sorted_and_inside,
    check_masks_are_probabilities_on_the_grid_of_their_box,
)
OF_EVERY_FAMILY: tuple[Check, ...] = (
    check_forward_is_of_one_type_in_both_modes,
    check_no_objects,
    check_a_half_empty_batch,
    check_one_object_in_one_image,
    check_odd_objects,
    check_one_class,
    check_the_defaults_freeze_the_first_stages,
    check_the_order_of_objects_does_not_matter,
    check_padded_objects_do_not_matter,
    check_the_same_image_twice_has_the_loss_of_one,
    check_images_do_not_see_each_other,
    check_gradients_stay_with_their_image,
    check_bfloat16_autocast,
    check_parameters_that_overflowed_reach_the_loss,
    check_wild_regression_gives_no_impossible_boxes,
    check_its_state_makes_an_equal_model,
    check_it_can_be_copied_and_pickled,
    check_candidates_are_of_one_count_whatever_the_image,
    check_channels_last_gives_the_same,
    check_other_sizes,
    check_looking_changes_nothing,
    check_limits_are_kept,
    check_it_predicts_in_the_pixels_of_the_source,
    check_wrong_arguments_are_refused,
)


@functools.lru_cache(maxsize=1)
def built(name: str) -> Detector:
    """Kept for the name's next check, which changes a copy only."""
    return build(name)


def pairs() -> list[tuple[str, Check]]:
    """Every (name, check) that applies, a name's checks together, so that it is built once."""
    return [(n, c) for n in NAMES for c in (OF_EVERY_NAME + OF_EVERY_FAMILY if n in SMALLEST else OF_EVERY_NAME)]


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(("name", "check"), pairs(), ids=lambda x: x if isinstance(x, str) else x.__name__[6:])
def test_contract(name: str, check: Check) -> None:
    check(copy.deepcopy(built(name)))


def test_every_check_is_listed() -> None:
    listed = {c.__name__ for c in OF_EVERY_NAME + OF_EVERY_FAMILY}
    assert {name for name in globals() if name.startswith("check_")} == listed
    assert {family(n) for n in SMALLEST} == {family(n) for n in NAMES}
