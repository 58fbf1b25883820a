"""Same parameters, same numbers as insightface, reid-strong-baseline, fast-reid and pytorch-metric-learning."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from baimu.backbones.iresnet import IResNet
from baimu.embedding.arcface import MarginHead, make_margin
from baimu.embedding.embedder import Features
from baimu.embedding.reid_baseline import IdentityHead
from baimu.losses.triplet import center_loss, pair_distance
from baimu.sample.hardest import mine_hardest
from baimu.targets import IdTargets
from baimu.weights import fastreid, insightface, strong_baseline
from baimu.zoo import create_model
from tests.embedding.goldens import apart, gradients_apart, load, noise, read, state
from tests.parity.golden import Golden

CLOSE = 1e-4


@pytest.mark.parametrize("depth", [18, 100])
def test_iresnet_is_insightfaces(shared: Path, depth: int) -> None:
    """Gradients of the smaller one, for they are the same code: of the larger, PReLUs whose input lies within rounding
    of zero differ in float32 (1.8e-4), and in float64 nothing does (5e-6)."""
    golden = read(shared, f"arcface/iresnet{depth}")
    model = load(create_model(f"arcface_iresnet{depth}", num_classes=2), golden, insightface.SOURCE)
    images = torch.from_numpy(np.tanh(noise(0, 2, 3, 112, 112)))
    with torch.set_grad_enabled(depth == 18):
        levels = _all_levels(model.backbone)(images)
        embedding = model.neck(levels[-1]).embedding
    for level, found in enumerate(levels, start=1):
        assert apart(golden, f"eval/layer{level}", found) < 1e-5
    assert apart(golden, "eval/embedding", embedding) < 1e-5
    if depth != 18:
        return

    cosine = F.cosine_similarity(embedding, torch.from_numpy(noise(1, 2, 512))).sum()
    assert cosine.item() == pytest.approx(golden.meta["values"]["loss/cosine"], rel=CLOSE)
    cosine.backward()
    assert max(gradients_apart(golden, "cosine", model, insightface.SOURCE).values()) < CLOSE


def _all_levels(backbone: IResNet) -> IResNet:
    backbone.out = (2, 3, 4, 5)
    return backbone


CASES = {
    "arcface": {"margin": 0.5},
    "cosface": {"margin": (1.0, 0.0, 0.4)},
    "combined_arc": {"margin": (1.0, 0.5, 0.0)},
    "combined_cos": {"margin": (1.0, 0.0, 0.4)},
    "combined_arc_filter": {"margin": (1.0, 0.5, 0.0), "interclass_filter": 0.3},
    "arcface_partial": {"margin": 0.5},
    "cosface_partial": {"margin": (1.0, 0.0, 0.4)},
}


@pytest.mark.parametrize("case", CASES)
def test_margins_like_insightface(shared: Path, case: str) -> None:
    """Row 1 of the file lies past π; partial: two samples whose identity is on another device."""
    golden, options = read(shared, "arcface/margin_losses"), {"interclass_filter": 0.0, **CASES[case]}
    embedding, weight = noise(0, 8, 16), noise(1, 12, 16)
    embedding[0] = 2 * weight[3] + np.float32(0.05) * embedding[0]
    embedding[1] = -weight[0] + np.float32(0.05) * embedding[1]
    ids = torch.tensor(golden.meta["inputs"]["labels"])
    head = MarginHead(16, 12, make_margin("insightface", 64.0, **options))
    head.weight.data.copy_(torch.from_numpy(weight))
    features = torch.from_numpy(embedding).requires_grad_()
    cosine = head.cosines(features)
    assert apart(golden, f"{case}/cosine", cosine) < 1e-5
    if case.endswith("partial"):
        ids[[2, 5]] = -1
        logits = head.margin(cosine, ids)
        loss = (logits * torch.from_numpy(noise(2, 8, 12))).sum()
    else:
        logits = head.margin(cosine, ids)
        loss = head.losses(Features(features, features), ids)["margin"]
    assert apart(golden, f"{case}/logits", logits) < 1e-5
    assert loss.item() == pytest.approx(golden.meta["values"][f"{case}/loss"], rel=1e-5)
    loss.backward()
    assert features.grad is not None
    assert head.weight.grad is not None
    assert apart(golden, f"{case}/grad_embedding", features.grad) < 1e-5
    assert apart(golden, f"{case}/grad_weight", head.weight.grad) < 1e-5


IDS = torch.tensor([2, 2, 7, 7])


def test_the_strong_baseline_is_the_authors(shared: Path) -> None:
    golden = read(shared, "reid/strong_baseline_r50")
    model = create_model("reid_baseline_r50", num_classes=11, like="strong_baseline")
    model = load(model, golden, strong_baseline.SOURCE)
    centers = state(golden, "center")["centers"]
    model.head.centers.copy_(centers)
    images = torch.from_numpy(np.tanh(noise(0, 4, 3, 128, 64)))
    maps = model.backbone(images)[-1]
    features = model.neck(maps)
    assert apart(golden, "eval/base", maps) < CLOSE
    assert apart(golden, "eval/feature_before_bn", features.raw) < CLOSE
    assert apart(golden, "eval/feature_after_bn", features.embedding) < CLOSE
    assert apart(golden, "train/score", model.head.classify(features.embedding)) < CLOSE

    values = golden.meta["values"]
    hardest = mine_hardest(features.raw, IDS)
    distances = {}
    for key, other in (("train/dist_ap", hardest.positive), ("train/dist_an", hardest.negative)):
        distances[key] = pair_distance(features.raw, features.raw[other])
        assert (distances[key] - torch.tensor(values[key])).abs().max() < slack_of(features.raw)
        exact = (features.raw.double() - features.raw[other].double()).norm(dim=1)
        assert (distances[key] - exact).abs().max() < 1e-5
    losses = model.losses(images, IdTargets(IDS))
    assert losses["id"].item() == pytest.approx(values["loss/id"], rel=CLOSE)
    theirs = torch.tensor(values["train/dist_ap"]) - torch.tensor(values["train/dist_an"]) + 0.3
    assert theirs.clamp(min=0).mean().item() == pytest.approx(values["loss/triplet"], rel=1e-5)  # of their distances
    ours = distances["train/dist_ap"] - distances["train/dist_an"] + 0.3
    assert losses["triplet"].item() == pytest.approx(ours.clamp(min=0).mean().item(), rel=1e-6)  # of ours
    assert losses["center"].item() == pytest.approx(0.0005 * values["loss/center"], rel=CLOSE)
    total = torch.stack([*losses.values()]).sum()
    assert total.item() == pytest.approx(values["loss/total"], rel=CLOSE)
    total.backward()
    assert max(gradients_apart(golden, "total", model, strong_baseline.SOURCE).values()) < CLOSE


def slack_of(features: torch.Tensor) -> float:
    """What 1e-5 of the features is: a distance is a difference of vectors twenty times as long, and both references
    take it from |a|² + |b|² − 2ab in float32 besides, of which rounding leaves three digits."""
    return 1e-5 * features.detach().norm(dim=1).max().item()


def test_centers_learn_as_in_the_strong_baseline(shared: Path) -> None:
    """Their gradient is the file's, and the step in our training pass is its SGD on that, before the loss's weight."""
    golden = read(shared, "reid/strong_baseline_r50")
    centers = state(golden, "center")["centers"].requires_grad_()
    raw = torch.from_numpy(noise(5, 4, 2048))
    center_loss(raw, centers[IDS]).mean().backward()
    assert centers.grad is not None
    head = IdentityHead(2048, 11, smoothing=0.1, margin=0.3, center_weight=0.0005)
    head.centers.copy_(centers.detach())
    head.losses(Features(raw, raw), IDS)
    torch.testing.assert_close(head.centers, (centers - 0.5 * centers.grad).detach())
    before = head.centers.clone()
    head.eval().losses(Features(raw, raw), IDS)
    assert torch.equal(head.centers, before)


def test_the_gradient_of_the_centers_is_the_files(shared: Path) -> None:
    golden = read(shared, "reid/strong_baseline_r50")
    model = create_model("reid_baseline_r50", num_classes=11, like="strong_baseline")
    model = load(model, golden, strong_baseline.SOURCE)
    centers = state(golden, "center")["centers"].requires_grad_()
    with torch.no_grad():
        raw = model.features(torch.from_numpy(np.tanh(noise(0, 4, 3, 128, 64)))).raw
    (0.0005 * center_loss(raw, centers[IDS]).mean()).backward()
    assert centers.grad is not None
    (expected,) = golden.arrays["grad_norms/total/center"].tolist()
    assert centers.grad.double().norm().item() == pytest.approx(expected, rel=CLOSE)


def test_bag_of_tricks_is_fastreids(shared: Path) -> None:
    golden = read(shared, "reid/fastreid_bagtricks_r50")
    model = load(create_model("reid_baseline_r50", num_classes=11, like="fastreid"), golden, fastreid.SOURCE)
    images = torch.from_numpy(np.floor(1 / (1 + np.exp(-noise(0, 4, 3, 128, 64))) * 256).astype(np.float32))
    images = model.preprocess.normalize(images)
    assert apart(golden, "eval/normalised", images) < CLOSE
    maps = model.backbone(images)[-1]
    features = model.neck(maps)
    assert apart(golden, "eval/backbone", maps) < CLOSE
    assert apart(golden, "eval/pooled", features.raw[..., None, None]) < CLOSE
    assert apart(golden, "train/features", features.raw) < CLOSE
    assert apart(golden, "eval/features", features.embedding) < CLOSE
    assert apart(golden, "train/cls_outputs", model.head.classify(features.embedding)) < CLOSE
    losses = model.losses(images, IdTargets(IDS))
    assert losses.keys() == {"id", "triplet"}
    values = golden.meta["values"]
    assert losses["id"].item() == pytest.approx(values["loss/loss_cls"], rel=CLOSE)
    assert losses["triplet"].item() == pytest.approx(values["loss/loss_triplet"], abs=2 * slack_of(features.raw))
    torch.stack([*losses.values()]).sum().backward()
    assert max(gradients_apart(golden, "total", model, fastreid.SOURCE).values()) < CLOSE


def learned(shared: Path) -> tuple[Golden, torch.Tensor, torch.Tensor]:
    """The file of pytorch-metric-learning, and its samples with their labels."""
    golden = read(shared, "metric/metric_losses")
    labels = golden.meta["inputs"]["labels"]
    embedding = noise(0, len(labels), 16).astype(np.float64) * 0.8 + noise(99, 5, 16).astype(np.float64)[labels]
    return golden, torch.from_numpy(embedding.astype(np.float32)), torch.tensor(labels)


@pytest.mark.parametrize(("name", "margin"), [("arcface", math.radians(28.6)), ("cosface", (1.0, 0.0, 0.35))])
def test_the_exact_gradient_is_pytorch_metric_learnings(shared: Path, name: str, margin: float) -> None:
    """Which, as the paper, differentiates the margin, and past π falls on as we do."""
    golden, embedding, labels = learned(shared)
    head = MarginHead(16, 4, make_margin("paper", 64.0, margin, 0.0))
    head.weight.data.copy_(state(golden, name)["W"].T)
    embedding.requires_grad_()
    loss = head.losses(Features(embedding, embedding), labels)["margin"]
    assert loss.item() == pytest.approx(golden.meta["values"][f"loss/{name}"], rel=1e-5)
    loss.backward()
    assert embedding.grad is not None
    assert head.weight.grad is not None
    assert apart(golden, f"grad/{name}", embedding.grad) < 1e-5
    assert apart(golden, f"grad/{name}/W", head.weight.grad.T) < 1e-5


def test_mining_is_pytorch_metric_learnings(shared: Path) -> None:
    golden, embedding, labels = learned(shared)
    found = mine_hardest(F.normalize(embedding), labels)
    _, positive, negative = golden.meta["values"]["miner/batch_hard"]
    assert bool(found.valid.all())
    assert found.positive.tolist() == positive
    assert found.negative.tolist() == negative
