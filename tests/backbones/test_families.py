"""Every classifier of the catalogue keeps the contract of backbones and equals its peers with the same parameters.

The smallest variant of a family is checked in full; of the others the size, and their maps and logits.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baimu.backbones.stages import Stages
from baimu.classification.classifier import Classifier
from baimu.layers.norm import FrozenBatchNorm2d, frozen_batch_norm
from baimu.targets import ClassTargets
from baimu.weights.keys import load_converted, renamed
from baimu.zoo import create_model, list_models
from tests.backbones.families import BY_NAME, ROWS, Peer, Row
from tests.parity.peers.classifiers import compare, logits, peer_of, route_of
from tests.parity.peers.filled import fill

CLASSES = 7
SMALLEST = [row for row in ROWS if row.smallest]
PEERS = [(row, peer) for row in ROWS for peer in row.peers]
HEAVY = 60_000_000
"""Parameters beyond which names and shapes are compared here, and numbers by ``make parity`` only."""

of_the_smallest = pytest.mark.parametrize("row", SMALLEST, ids=lambda row: row.name)


def build(name: str, **options: Any) -> Classifier:
    torch.manual_seed(0)
    model = create_model(name, num_classes=CLASSES, **BY_NAME[name].options, **options)
    assert isinstance(model, Classifier)
    return model


def noise(count: int, height: int, width: int) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def shares(*labels: int) -> ClassTargets:
    return ClassTargets(nn.functional.one_hot(torch.tensor(labels), CLASSES).float())


def test_every_classifier_has_its_row() -> None:
    assert sorted(list_models(task="classification")) == sorted(BY_NAME)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_it_has_as_many_parameters_as_published(row: Row) -> None:
    with torch.device("meta"):
        model = create_model(row.name)
    assert sum(p.numel() for p in model.parameters()) == row.parameters


@of_the_smallest
def test_maps_have_the_channels_and_strides_that_it_tells(row: Row) -> None:
    whole = build(row.name).backbone.eval()
    height, width = 2 * row.side, row.side
    images = noise(1, height, width)
    levels = whole.out
    with torch.no_grad():
        all_maps = dict(zip(levels, whole(images), strict=True))
        for out in itertools.chain(((level,) for level in levels), [levels[-2:], levels[::2]]):
            part = build(row.name, out=out).backbone.eval()
            part.load_state_dict({k: v for k, v in whole.state_dict().items() if k in part.state_dict()})
            for level, x, channels, stride in zip(out, part(images), part.channels, part.strides, strict=True):
                assert x.shape[:2] == (1, channels)
                assert abs(x.shape[2] - height / stride) <= 3, "unpadded stems lose a few cells"
                assert torch.equal(x, all_maps[level])


@of_the_smallest
def test_every_parameter_learns_and_a_batch_is_its_images(row: Row) -> None:
    model = build(row.name, dropout=0.0)
    losses = model.losses(noise(4, row.side, row.side), shares(0, 6, 2, 2))
    sum(losses.values(), torch.zeros(())).backward()
    flat = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert flat == []
    model.eval()
    images = noise(2, row.side, row.side)
    with torch.no_grad():
        together, alone = model(images), torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4 * float(together.abs().max()), rtol=1e-4)
    torch.testing.assert_close(model.classify(images).sum(1), torch.ones(2))


@of_the_smallest
def test_what_is_frozen_stays(row: Row) -> None:
    backbone = build(row.name, frozen_stages=2).backbone
    frozen = {n for n, p in backbone.named_parameters() if not p.requires_grad}
    first = {n for level in backbone.levels if level <= 2 for n in _names(backbone, level)}
    assert frozen == first
    before = {k: v.clone() for k, v in backbone.state_dict().items() if k in frozen or "running" in k}
    backbone.train()(noise(2, row.side, row.side))
    kept = {k for k, v in backbone.state_dict().items() if k in before and torch.equal(v, before[k])}
    layers = {name.rpartition(".")[0] for name in frozen}
    statistics = {name for name in before if "running" in name}
    of_frozen = {name for name in statistics if name.rpartition(".")[0] in layers}
    assert frozen | of_frozen <= kept
    assert not (statistics - of_frozen) & kept, "what is not frozen sees the batch"
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not norms or any(m.training for m in norms), "only the frozen part is in evaluation mode"


def _names(backbone: Stages, level: int) -> set[str]:
    inside = {id(p) for part in backbone.parts(level) for p in part.parameters()}
    return {n for n, p in backbone.named_parameters() if id(p) in inside}


@of_the_smallest
def test_checkpointing_changes_no_number(row: Row) -> None:
    found = []
    for checkpointing in (False, True):
        model = build(row.name, checkpointing=checkpointing).train()
        torch.manual_seed(1)
        loss = model.losses(noise(2, row.side, row.side), shares(0, 1))["class"]
        loss.backward()
        found.append((loss, [p.grad for p in model.parameters()], dict(model.named_buffers())))
    (loss, grads, buffers), (again, other_grads, other_buffers) = found
    torch.testing.assert_close(again, loss)
    for grad, other in zip(grads, other_grads, strict=True):
        torch.testing.assert_close(other, grad, atol=1e-5, rtol=1e-4)
    for key, value in buffers.items():
        torch.testing.assert_close(other_buffers[key], value)


@of_the_smallest
def test_every_norm_is_the_one_asked_for(row: Row) -> None:
    model = build(row.name, norm=frozen_batch_norm)
    kinds = {type(m) for m in model.modules() if isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d)}
    assert kinds <= {FrozenBatchNorm2d}
    grouped = build(row.name, norm=lambda channels: nn.GroupNorm(1, channels))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in grouped.modules())
    assert grouped.eval()(noise(1, row.side, row.side)).isfinite().all()


@of_the_smallest
def test_small_images_have_their_stem(row: Row) -> None:
    model = build(row.name, small_images=True).eval()
    plain = build(row.name).backbone
    assert model.backbone.strides[-1] < plain.strides[-1]
    with torch.no_grad():
        maps = model.backbone(noise(1, 32, 32))
    assert min(maps[-1].shape[2:]) >= 2, "28 x 28 pictures still have something to average"


@of_the_smallest
def test_another_head_keeps_the_backbone(row: Row) -> None:
    model = build(row.name).eval()
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    model.reset_classifier(3)
    assert model(noise(1, row.side, row.side)).shape == (1, 3)
    assert all(torch.equal(v, before[k]) for k, v in model.backbone.state_dict().items())


@pytest.mark.parametrize(("row", "peer"), PEERS, ids=[f"{row.name}-{peer.library}" for row, peer in PEERS])
def test_maps_and_logits_equal_the_library(row: Row, peer: Peer) -> None:
    pytest.importorskip(peer.library, reason=f"needs {peer.library}: pip install {peer.library}")
    if row.parameters > HEAVY:
        route = route_of(row, peer)
        with torch.device("meta"):
            theirs, ours = peer_of(peer), create_model(row.name, **route.arguments)
        moved = renamed(theirs.state_dict(), route)
        assert {k: v.shape for k, v in moved.items()} == {k: v.shape for k, v in ours.state_dict().items()}
        return
    sizes = [(row.side, row.side), (row.side + 33, row.side + 5)][: 2 if row.smallest else 1]
    for part, found, expected in compare(row, peer, sizes, batch=2):
        close(found, expected, part)


SMALL_PEERS = [(row, peer) for row, peer in PEERS if row.smallest and row.parameters <= HEAVY]


@pytest.mark.parametrize(("row", "peer"), SMALL_PEERS, ids=[f"{row.name}-{p.library}" for row, p in SMALL_PEERS])
def test_gradients_and_statistics_equal_the_library(row: Row, peer: Peer) -> None:
    pytest.importorskip(peer.library, reason=f"needs {peer.library}: pip install {peer.library}")
    route = route_of(row, peer)
    theirs, ours = peer_of(peer), create_model(row.name, **route.arguments)
    load_converted(ours, fill(theirs).state_dict(), route)
    images, labels = noise(4, row.side, row.side).double(), torch.tensor([0, 1, 999, 3])
    for model in (theirs.double().train(), ours.double().train()):  # in single precision zeros are rounding alone
        without_dropout(model)
        nn.functional.cross_entropy(logits(model(images)), labels).backward()
    expected = renamed({n: p.grad for n, p in theirs.named_parameters() if p.grad is not None}, route)
    found = {n: p.grad for n, p in ours.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name, grad in found.items():
        if row.idle and re.search(row.idle, name):
            assert max(grad.abs().max(), expected[name].abs().max()) < 1e-6, f"{name}: rounding alone"
        else:
            close(grad, expected[name], name, 1e-3)
    statistics = renamed({n: b for n, b in theirs.named_buffers() if "running" in n}, route)
    for name, value in statistics.items():
        close(dict(ours.named_buffers())[name], value, name)


def without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        for name in ("p", "drop_prob", "drop_rate", "rate", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


@torch.no_grad()
def close(found: Tensor, expected: Tensor, what: str, tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape, what
    scale = float(expected.abs().max())
    apart = float((found - expected).abs().max())
    assert apart <= tolerance * max(scale, 1e-6), f"{what}: {apart:.2e} apart, largest {scale:.2e}"
