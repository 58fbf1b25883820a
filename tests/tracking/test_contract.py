"""What every tracker of one object of the catalogue must keep: one list of checks over all names."""

from __future__ import annotations

import copy
import functools
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baimu.targets import PairTargets
from baimu.zoo import create_model, list_models

NAMES = list_models(task="tracking")
SEARCH = 191  # pixels: 9 x 9 places
Check = Callable[[Any], None]


@functools.cache
def _built(name: str) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"search_size": SEARCH} | ({"track_size": SEARCH} if "rpn" in name else {})
    return create_model(name, width=0.05, **sizes)


def build(name: str) -> Any:
    return copy.deepcopy(_built(name)).eval()


def pairs(count: int = 2, positive: tuple[bool, ...] = (True, True), seed: int = 0) -> tuple[Tensor, PairTargets]:
    """Normalised search images, and targets near their middle."""
    draw = torch.Generator().manual_seed(seed)
    search = torch.randn(count, 3, SEARCH, SEARCH, generator=draw) * 40 + 120
    exemplars = torch.randint(0, 256, (count, 3, 127, 127), generator=draw, dtype=torch.uint8)
    boxes = torch.tensor([[60.0, 64, 128, 128], [58.0, 60, 122, 124]])[:count]
    return search, PairTargets(exemplars, boxes, torch.tensor(positive[:count]))


def numbers(outputs: Any) -> list[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def check_losses_are_finite_float32_scalars(model: Any) -> None:
    for name, loss in model.train().losses(*pairs()).items():
        assert (loss.shape, loss.dtype) == ((), torch.float32), name
        assert torch.isfinite(loss), name


def check_every_parameter_has_a_gradient(model: Any) -> None:
    sum(model.train().losses(*pairs()).values()).backward()
    flat = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    # a bias before batch norm in training mode changes nothing
    assert [name for name in flat if not name.endswith("conv.bias")] == []


def check_a_pair_of_two_objects_trains_background_alone(model: Any) -> None:
    losses = model.train().losses(*pairs(positive=(False, False)))
    assert all(torch.isfinite(loss) for loss in losses.values())
    if "box" in losses:
        assert float(losses["box"].detach()) == 0


def check_batch_of_one_equals_batch_of_two(model: Any) -> None:
    """In float64: raw pixels make sums of thousands, of which float32 rounds the fourth digit of a small difference."""
    search, targets = pairs()
    model, search = model.double(), search.double()
    exemplars = model.preprocess.normalize(targets.exemplars).double()
    with torch.no_grad():
        both = numbers(model(exemplars, search))
        for i in range(2):
            for one, two in zip(numbers(model(exemplars[i : i + 1], search[i : i + 1])), both, strict=True):
                torch.testing.assert_close(one[0], two[i], rtol=1e-9, atol=1e-9)


def check_exemplars_are_computed_once(model: Any) -> None:
    """``respond`` to what was kept of the exemplar is what ``forward`` does."""
    search, targets = pairs(1)
    exemplars = model.preprocess.normalize(targets.exemplars)
    keep = model.kernels if hasattr(model, "kernels") else model.features
    with torch.no_grad():
        seen = search if hasattr(model, "kernels") else model.features(search)
        parts = numbers(model.respond(keep(exemplars), seen)), numbers(model(exemplars, search))
        assert all(torch.equal(one, other) for one, other in zip(*parts, strict=True))


def check_autocast(model: Any) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.train().losses(*pairs())
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in losses.values())


def check_state_dict_round_trip(model: Any) -> None:
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    name, arguments = model.spec
    other = create_model(name, **arguments)
    other.load_state_dict(torch.load(file))
    search, targets = pairs(1)
    exemplars = model.preprocess.normalize(targets.exemplars)
    with torch.no_grad():
        found = zip(numbers(model(exemplars, search)), numbers(other.eval()(exemplars, search)), strict=True)
        assert all(torch.equal(one, two) for one, two in found)


def check_it_follows_in_any_frame(model: Any) -> None:
    """Untrained, at the border, in frames smaller than its crops: the box stays finite and its centre in the frame."""
    rng = np.random.default_rng(0)
    for height, width, box in ((60, 90, (0, 0, 30, 20)), (40, 40, (20, 25, 39, 39)), (200, 120, (-10, 150, 40, 220))):
        tracker = model.tracker()
        tracker.init(rng.integers(0, 256, (height, width, 3), np.uint8), np.array(box, float))
        for _ in range(3):
            found = tracker.update(rng.integers(0, 256, (height, width, 3), np.uint8))
            x1, y1, x2, y2 = found.boxes[0].tolist()
            assert all(map(math.isfinite, (x1, y1, x2, y2)))
            assert x1 < x2
            assert y1 < y2
            assert -1e-3 <= (x1 + x2) / 2 <= width + 1e-3
            assert -1e-3 <= (y1 + y2) / 2 <= height + 1e-3
            assert found.ids.tolist() == [1]
            assert 0 <= found.scores[0] <= 1


def check_a_box_without_area_is_refused(model: Any) -> None:
    frame = np.zeros((50, 50, 3), np.uint8)
    for box in ((5, 5, 5, 20), (60, 5, 80, 20), (float("nan"), 0, 10, 10)):
        with pytest.raises(ValueError, match="no area"):
            model.tracker().init(frame, np.array(box, float))


CHECKS: list[Check] = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, check: Check) -> None:
    check(build(name))


def test_the_catalogue_has_trackers() -> None:
    assert {"siamfc_alexnet", "siamrpn_alexnet", "siamrpn_alexnet_dw"} <= set(NAMES)
