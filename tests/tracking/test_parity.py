"""SiamFC and SiamRPN compute what siamfc-pytorch and pysot do: maps, losses, gradients, and steps of tracking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baimu.results import Tracks
from baimu.sample.random import sample_all
from baimu.targets import PairTargets
from baimu.tracking.siamese import Window, crop
from baimu.tracking.siamfc import balanced_weights, response_labels, siamfc_alexnet
from baimu.tracking.siamrpn import anchors_at, assign_anchors, siamrpn_alexnet_dw
from baimu.weights.keys import convert, convert_back, rename
from baimu.weights.siamese import PYSOT_DEPTHWISE, SIAMFC
from tests.text.golden import Reference
from tests.tracking.goldens import opencv_crop, opencv_resize, pair, picture

STEPS = {
    "siamfc": {"a": {"dx": 4, "dy": -3, "zoom": 1.08}, "b": {"dx": -5, "dy": 6, "zoom": 0.92}},
    "siamrpn": {"a": {"dx": 4, "dy": -3, "zoom": 1.06}, "b": {"dx": -5, "dy": 6, "zoom": 0.95}},
}


@pytest.fixture(scope="module")
def siamfc(shared: Path) -> tuple[Reference, Any]:
    reference = Reference(shared / "goldens/siamfc/siamfc_alexnet.npz")
    model = siamfc_alexnet()
    model.load_state_dict(convert(reference.state(), model, SIAMFC))
    return reference, model.eval()


@pytest.fixture(scope="module")
def siamrpn(shared: Path) -> tuple[Reference, Any]:
    reference = Reference(shared / "goldens/pysot/siamrpn_alexnet.npz")
    model = siamrpn_alexnet_dw()
    model.load_state_dict(convert(reference.state(), model, PYSOT_DEPTHWISE))
    return reference, model.eval()


def gradients(model: Any, route: Any, names: list[str]) -> dict[str, float]:
    """Norms by the reference's names."""
    ours = convert_back({name: p.grad.norm() for name, p in model.named_parameters()}, route)
    assert len(ours) == len(names)
    return {name: float(ours[rename(name, route.older)]) for name in names}


def targets(boxes: Tensor, positive: bool = True) -> PairTargets:
    return PairTargets(
        torch.zeros(len(boxes), 3, 127, 127, dtype=torch.uint8), boxes, torch.full((len(boxes),), positive)
    )


def test_siamfc_maps_and_response(siamfc: tuple[Reference, Any]) -> None:
    reference, model = siamfc
    exemplars, search = pair()
    with torch.no_grad():
        reference.assert_close("eval/exemplar_features", model.features(exemplars), 1e-6)
        reference.assert_close("eval/search_features", model.features(search), 1e-6)
        reference.assert_close("eval/response", model(exemplars, search)[:, None], 1e-6)


def test_siamfc_labels_loss_and_gradients(siamfc: tuple[Reference, Any]) -> None:
    reference, model = siamfc
    positive = response_labels(17, 2)
    reference.assert_close("train/labels", positive.float())
    one_pair = balanced_weights(positive[None])[0]
    stored = torch.from_numpy(reference.arrays["train/weights"])
    torch.testing.assert_close(one_pair / one_pair.sum(), stored / stored.sum())
    exemplars, search = pair()
    losses = model.loss(model(exemplars, search), targets(torch.zeros(2, 4)))
    assert float(losses["response"].detach()) == pytest.approx(reference.values["loss/balanced"], rel=1e-5)
    model.zero_grad()
    losses["response"].backward()
    names = reference.meta["grad_names"]["balanced"]
    reference.assert_gradients("balanced", gradients(model, SIAMFC, names))


@pytest.mark.parametrize("step", ["a", "b"])
def test_siamfc_follows_step_by_step(siamfc: tuple[Reference, Any], step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With OpenCV's rounding of the crops, which moves the box by a millionth of a pixel."""
    monkeypatch.setattr("baimu.tracking.siamfc.crop", opencv_crop)
    reference, model = siamfc
    box = {"a": (61.0, 45.0, 50.0, 36.0), "b": (8.0, 10.0, 40.0, 60.0)}[step]  # counts from 1
    first, second = picture(180, 240), picture(180, 240, **STEPS["siamfc"][step])
    tracker = model.tracker()
    tracker.init(first, np.array([box[0] - 1, box[1] - 1, box[0] - 1 + box[2], box[1] - 1 + box[3]]))
    assert tracker.side == pytest.approx(reference.values[f"track_{step}/x_sz"], rel=1e-6)
    for i, factor in enumerate(tracker.factors):
        look = tracker.look(second, tracker.side * factor, 255).permute(1, 2, 0)
        reference.assert_close(f"track_{step}/search_crop_{i}", look, 1e-9)
    found = tracker.update(second)
    x1, y1, x2, y2 = found.boxes[0]
    np.testing.assert_allclose((x1 + 1, y1 + 1, x2 - x1, y2 - y1), reference.values[f"track_{step}/box"], atol=1e-4)


def test_siamrpn_maps_of_both_heads(siamrpn: tuple[Reference, Any]) -> None:
    reference, model = siamrpn
    exemplars, search = pair()
    with torch.no_grad():
        reference.assert_close("eval/exemplar_backbone", model.features(exemplars), 1e-6)
        found = model(exemplars, search)
        reference.assert_close("eval/cls", _as_maps(found.logits), 1e-5)
        reference.assert_close("eval/loc", _as_maps(found.deltas), 1e-5)


def _as_maps(candidates: Tensor, anchors: int = 5) -> Tensor:
    """(B, P, n) as the reference's channels (n, anchor) of a square map."""
    b, p, n = candidates.shape
    side = int((p // anchors) ** 0.5)
    return candidates.transpose(1, 2).reshape(b, n * anchors, side, side)


def test_siamrpn_targets_loss_and_gradients(siamrpn: tuple[Reference, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    reference, model = siamrpn
    boxes = torch.tensor(reference.values["train/boxes_x1y1x2y2"]) + 0.5  # the reference's are of pixel centres
    anchors = anchors_at(model.sizes, 17, 8, 127.5)
    assigned = assign_anchors(anchors, targets(boxes), 17, 8)
    theirs = {1: 0, 0: -1, -1: -2}
    for i in range(2):
        expected = [theirs[int(v)] for v in reference.arrays[f"train/label_cls/{i}"]]
        assert assigned[i].tolist() == expected
    stranger = assign_anchors(anchors, targets(boxes[1:], positive=False), 17, 8)[0]
    assert stranger.tolist() == [theirs[int(v)] for v in reference.arrays["train/negative_pair/label_cls"]]

    monkeypatch.setattr(model, "sample", sample_all)
    exemplars, search = pair()
    losses = model.loss(model(exemplars, search), targets(boxes))
    assert float(losses["cls"].detach()) == pytest.approx(reference.values["loss/cls_loss"], rel=1e-5)
    assert float(losses["box"].detach()) == pytest.approx(1.2 * reference.values["loss/loc_loss"], rel=1e-5)
    model.zero_grad()
    sum(losses.values()).backward()
    names = reference.meta["grad_names"]["total_loss"]
    reference.assert_gradients("total_loss", gradients(model, PYSOT_DEPTHWISE, names))


@pytest.mark.parametrize("step", ["a", "b"])
def test_siamrpn_follows_step_by_step(
    siamrpn: tuple[Reference, Any], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With OpenCV's rounding of the crops, which moves the box by less than a tenth of a pixel."""
    reference, model = siamrpn
    steps = {False: _step(reference, model, step)[1]}
    monkeypatch.setattr("baimu.tracking.siamrpn.crop", opencv_crop)
    look, steps[True] = _step(reference, model, step)
    reference.assert_close(f"track_{step}/search_crop", look.flip(0)[None], 1e-9)
    for exact, found in steps.items():
        x1, y1, x2, y2 = found.boxes[0]
        # the reference takes a box's corner half a pixel from where it found it
        told = (x1 - 0.5, y1 - 0.5, x2 - x1, y2 - y1)
        np.testing.assert_allclose(
            told, reference.values[f"track_{step}/box"], rtol=1e-5 if exact else 0, atol=0 if exact else 0.1
        )
    assert float(steps[True].scores[0]) == pytest.approx(reference.values[f"track_{step}/best_score"], rel=1e-5)


def _step(reference: Reference, model: Any, step: str) -> tuple[Tensor, Tracks]:
    """What the tracker looks at in the second frame, and what it tells."""
    box = {"a": (60.0, 45.0, 50.0, 36.0), "b": (8.0, 10.0, 40.0, 60.0)}[step]
    first, second = picture(180, 240), picture(180, 240, **STEPS["siamrpn"][step])
    first, second = first[..., ::-1].copy(), second[..., ::-1].copy()  # the reference's frames are BGR
    tracker = model.tracker()
    tracker.init(first, np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]]))
    side = reference.values[f"track_{step}/crop_size_out_in"][1]
    return tracker.look(second, side, 287), tracker.update(second)


def test_crops_are_opencvs_but_for_its_rounding() -> None:
    frame, fill = picture(60, 80), np.array([10, 20, 30])
    for window in (Window(5, 7, 40, 40), Window(-10, -4, 50, 50), Window(60, 30, 64, 64), Window(-90, 0, 40, 40)):
        padded = np.empty((300, 300, 3), np.uint8)
        padded[:] = fill
        padded[100:160, 100:180] = frame
        patch = padded[100 + window.top :, 100 + window.left :][: window.height, : window.width]
        ours = crop(frame, window, 64, fill).permute(1, 2, 0).numpy().astype(int)
        assert np.abs(ours - opencv_resize(patch, 64)).max() <= 1
        assert np.array_equal(crop(frame, window, window.width, fill).permute(1, 2, 0), patch)


def test_checkpoints_of_the_references_are_known(siamfc: Any, siamrpn: Any, tmp_path: Path) -> None:
    import baimu

    for (reference, model), name in ((siamfc, "siamfc_alexnet"), (siamrpn, "siamrpn_alexnet_dw")):
        torch.save(reference.state(), tmp_path / f"{name}.pth")
        with pytest.warns(UserWarning, match="normalised"):
            loaded = baimu.load(tmp_path / f"{name}.pth")
        assert loaded.spec[0] == name
        for key, value in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value), key
