"""One golden file against our model of the same configuration: every stored number, or the reason why not."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from baimu import zoo
from baimu.errors import DataError
from baimu.weights import openmmlab
from baimu.weights.keys import Route, Source, convert_back, load_converted
from tests.parity import mmdet
from tests.parity.golden import Golden
from tests.parity.mmdet import Reading
from tests.parity.outcome import TOLERANCE, Outcome, worst
from tests.parity.pattern import Lacking
from tests.parity.sets import detections_matched, matched


class Origin(NamedTuple):
    """Where files come from."""

    title: str
    read: Callable[[dict[str, Any]], Reading]  # the header of a file
    tables: Source  # of its parameter names


SOURCES = {"mmdet": Origin("mmdetection", mmdet.read, openmmlab.SOURCE)}
"""``meta['source']`` and what reads it."""

DRAWS = 8
"""Of noise, at most, where gradients are within rounding of the reference's."""
FEATURES = r"^eval/(backbone|neck|encoder)\b"
LOSS_NAMES = (
    (r"\.\d+$", ""),  # levels are summed
    (r"loss_rpn_", "rpn_"),
    (r"loss_", ""),
    (r"bbox$", "box"),
    (r"iou$", "giou"),
    (r"centerness$", "center"),
    (r"^s(\d)\.(.*)$", lambda of: f"{of[2]}{int(of[1]) + 1}"),  # a cascade's stages, counted from one
)
"""Their items of the loss dict under our names."""


def recognise(meta: dict[str, Any]) -> Reading:
    """The model of a file's header; raises :class:`~tests.parity.pattern.Lacking` where the catalogue has none."""
    if meta["source"] not in SOURCES:
        raise Lacking(f"nothing of {meta['source']}")
    reading = SOURCES[meta["source"]].read(meta)
    if reading.name not in zoo.index():
        raise Lacking(reading.name)
    return reading


def compare(path: Path) -> Outcome:
    """Raises :class:`~baimu.errors.DataError` for what is no golden file."""
    golden, name = Golden.read(path), f"{path.parent.name}/{path.stem}"
    try:
        reading = recognise(golden.meta)
    except Lacking as lacking:
        return Outcome(name, golden.meta["source"], lacking=str(lacking))
    origin = SOURCES[golden.meta["source"]]
    source = f"{origin.title} {golden.meta['versions'][golden.meta['source']]}"
    route = origin.tables.route(reading.name)
    model = build(reading, golden, route)
    found = differences(model, reading, golden, route)
    as_given = {}
    if found.get("gradients", 0) > TOLERANCE:
        as_given["gradients"] = found["gradients"]
        found["gradients"] = gradients_within_rounding(model, golden, route)
    return Outcome(name, source, reading.name, reading.arguments, found, as_given)


def attempt(path: Path) -> Outcome:
    """:func:`compare`, where a model that cannot be built or run does not keep the others from being compared."""
    try:
        return compare(path)
    except DataError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        return Outcome(f"{path.parent.name}/{path.stem}", "", failed=reason)


def build(reading: Reading, golden: Golden, route: Route) -> Any:
    """Our model with the file's parameters, every one of which asks for a gradient, as the files have it."""
    options = {**reading.arguments, **reading.limits}
    model = zoo.create_model(reading.name, num_classes=golden.meta["num_classes"], **options)
    load_converted(model, golden.state(), route)
    return model.requires_grad_(True).eval()


def differences(model: Any, reading: Reading, golden: Golden, route: Route) -> dict[str, float]:
    """The largest relative difference of each part; ``inf`` where the two are not of the same form."""
    with torch.no_grad():
        found = intermediate(model, reading, golden)
        found |= predictions(model, golden)
    if golden.meta["losses"]:
        found |= losses_and_gradients(model, golden, route)
    return found


def intermediate(model: nn.Module, reading: Reading, golden: Golden) -> dict[str, float]:
    """Every tensor of the forward pass that the file holds."""
    stored = {key for key in golden.arrays if key.startswith(("eval/", "train/"))}
    found: dict[str, float] = defaultdict(float)
    for key, tensor in reading.observe(model, golden):
        stored.discard(key)
        rois = key.endswith("/rois") or key.startswith("train/proposals/")
        difference = boxes_apart(golden.arrays[key], tensor) if rois else golden.difference(key, tensor)
        part = "proposals" if rois else "features" if re.match(FEATURES, key) else "outputs"
        found[part] = worst([found[part], difference])
    if stored:
        raise AssertionError(f"{reading.name}: nothing looks at {', '.join(sorted(stored))} of the file")
    return dict(found)


def boxes_apart(expected: np.ndarray, found: Tensor) -> float:
    """Largest distance of boxes, one to one in whatever order, relative to the largest coordinate."""
    return matched(expected, np.asarray(found), np.abs(expected).max(axis=0).clip(1))[0]


def predictions(model: Any, golden: Golden) -> dict[str, float]:
    """Detections as sets, for two of nearly equal score may change places; with masks, those of the pairs."""
    detected = model.detect(golden.images(), golden.targets().sizes)
    result = {"predictions": 0.0}
    for i in range(golden.meta["image_shape"][0]):
        count = int(detected.counts[i])
        expected = tuple(golden.arrays[f"pred/{i}/{key}"] for key in ("bboxes", "scores", "labels"))
        found = tuple(x[i, :count].numpy() for x in (detected.boxes, detected.scores, detected.labels))
        apart, partner = detections_matched(expected, found)
        result["predictions"] = worst([result["predictions"], apart])
        if golden.meta["masks"]:
            masks = 1.0 if apart == float("inf") else masks_apart(golden, i, detected, partner)
            result["masks"] = max(result.get("masks", 0.0), masks)
    return result


def masks_apart(golden: Golden, i: int, detected: Any, partner: np.ndarray) -> float:
    """Pixels that differ, of all that the reference's masks cover."""
    from baimu.ops.masks import paste_masks

    key = f"pred/{i}/masks"
    shape = golden.meta["tensors"][key]["shape"]
    expected = np.unpackbits(golden.arrays[key])[: np.prod(shape)].reshape(shape).astype(bool)
    order = torch.from_numpy(partner)
    found = paste_masks(detected.masks[i, order], detected.boxes[i, order], tuple(golden.meta["img_shapes"][i]))
    return float((found.numpy() ^ expected).sum() / max(expected.sum(), 1))


def losses_and_gradients(model: Any, golden: Golden, route: Route) -> dict[str, float]:
    """Every item of the loss dict, and the norm of every parameter's gradient of their sum."""
    expected: dict[str, float] = defaultdict(float)
    for key, value in golden.meta["losses"].items():
        if "loss" in key:
            for pattern, ours in LOSS_NAMES:
                key = re.sub(pattern, ours, key)
            expected[key] += value
    model.zero_grad()
    losses = model.losses(golden.images(), golden.targets())
    if losses.keys() != expected.keys():
        raise AssertionError(f"losses: ours are {sorted(losses)}, theirs {sorted(expected)}")
    torch.stack([*losses.values()]).sum().backward()
    floor = 1e-3 * max(expected.values())
    apart = [abs(losses[key].item() - value) / max(value, floor) for key, value in expected.items()]
    return {"losses": worst(apart), "gradients": worst(gradients_apart(model, golden, route).values())}


def gradients_apart(model: nn.Module, golden: Golden, route: Route) -> dict[str, float]:
    """Relative differences of the norms of gradients, which go back through the converter to the reference's names;
    what is less than a thousandth of the largest norm is compared with that."""
    ours = convert_back({name: p.grad for name, p in model.named_parameters() if p.grad is not None}, route)
    theirs = dict(zip(golden.meta["grad_names"], golden.arrays["grad_norms"].astype(float), strict=True))
    reached = {name: norm for name, norm in theirs.items() if norm >= 0}
    if missing := reached.keys() - ours.keys():
        raise AssertionError(f"no gradient of ours for {', '.join(sorted(missing)[:5])}")
    floor = 1e-3 * max(reached.values())
    norms = {name: ours[name].double().norm().item() for name in reached}  # float32 loses four digits of millions
    return {name: abs(norms[name] - norm) / max(norm, floor) for name, norm in reached.items()}


def gradients_within_rounding(model: Any, golden: Golden, route: Route) -> float:
    """The largest difference of a norm where, for each, the image may be ``1 + 1e-6 noise`` times what it is: the
    files' own measure of sensitivity, which they give for predictions and losses only.

    A ReLU whose input is within rounding of zero lets a gradient through or not. In a network of a hundred layers some
    of millions always are, and where few RoIs carry the gradient each one shows.
    """
    least = gradients_apart(model, golden, route)
    images = golden.images()
    for seed in range(1, 1 + DRAWS):
        noise = np.random.RandomState(seed).standard_normal(images.shape).astype(np.float32)
        model.zero_grad()
        losses = model.losses(images * torch.from_numpy(1 + 1e-6 * noise), golden.targets())
        torch.stack([*losses.values()]).sum().backward()
        again = gradients_apart(model, golden, route)
        least = {name: min(difference, again[name]) for name, difference in least.items()}
        if worst(least.values()) <= TOLERANCE:
            break
    return worst(least.values())
