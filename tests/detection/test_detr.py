"""DETR's loss against a slow loop, its answers without NMS, and padding that is masked wherever it comes from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from baimu.assign.hungarian import hungarian_assign
from baimu.backbones.resnet import resnet18
from baimu.detection.detr import DETR, DETROutput, detr, recipe
from baimu.layers.transformer import Decoder, Encoder
from baimu.ops.boxes import paired_iou
from baimu.targets import Targets
from baimu.training.optimizers import parameter_groups
from baimu.zoo import create_model

CLASSES, QUERIES = 3, 7
SIZES = [(64, 96), (50, 60), (64, 80)]
BOXES = [torch.tensor([[6.0, 8, 30, 41], [34, 20, 61, 44]]), torch.tensor([[10.0, 9, 51, 42]]), torch.zeros(0, 4)]
LABELS = [torch.tensor([0, 2]), torch.tensor([1]), torch.zeros(0, dtype=torch.int64)]
TARGETS = Targets.collate(BOXES, LABELS, SIZES)


def build(**options) -> DETR:
    torch.manual_seed(0)
    small = {"width": 32, "depths": (1, 2), "heads": 4, "hidden": 48, "dropout": 0.0, "queries": QUERIES}
    return detr(resnet18, CLASSES, True, **{**small, **options}).eval()


def random_outputs(layers: int = 2, seed: int = 0) -> DETROutput:
    generator = torch.Generator().manual_seed(seed)
    shape = (layers, len(SIZES), QUERIES)
    logits, boxes = torch.randn(*shape, CLASSES + 1, generator=generator), torch.rand(*shape, 4, generator=generator)
    return DETROutput(list(logits), list(boxes))


def slow_losses(logits: Tensor, boxes: Tensor, targets: Targets, background: float = 0.1) -> dict[str, float]:
    """One layer's, query by query."""
    index = hungarian_assign(logits, boxes, targets)
    cls = weight = box = giou = matched = 0.0
    for i in range(len(logits)):
        height, width = targets.sizes[i].tolist()
        for q in range(QUERIES):
            m = int(index[i, q])
            share, label = (1.0, int(targets.labels[i, m])) if m >= 0 else (background, CLASSES)
            cls -= share * logits[i, q].log_softmax(0)[label].item()
            weight += share
            if m < 0:
                continue
            matched += 1
            x1, y1, x2, y2 = targets.boxes[i, m].tolist()
            wanted = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            cx, cy, w, h = boxes[i, q].tolist()
            box += sum(abs(a - b) for a, b in zip((cx, cy, w, h), wanted, strict=True))
            corners = torch.tensor([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * torch.tensor([width, height] * 2)
            giou += 1 - paired_iou(corners[None], targets.boxes[i, m][None], "giou").item()
    return {"cls": cls / weight, "box": 5 * box / max(matched, 1), "giou": 2 * giou / max(matched, 1)}


@pytest.mark.parametrize("seed", range(3))
def test_losses_of_every_layer_equal_a_slow_loop(seed: int) -> None:
    outputs = random_outputs(seed=seed)
    losses = build().loss(outputs, TARGETS)
    assert list(losses) == ["d0.cls", "d0.box", "d0.giou", "cls", "box", "giou"]
    for layer, prefix in enumerate(("d0.", "")):
        expected = slow_losses(outputs.logits[layer], outputs.boxes[layer], TARGETS)
        for name, value in expected.items():
            assert losses[prefix + name].item() == pytest.approx(value, rel=1e-5), prefix + name


def test_weights_and_the_share_of_background_are_arguments() -> None:
    outputs = random_outputs()
    plain = build().loss(outputs, TARGETS)
    scaled = build(weights=(3.0, 15.0, 6.0)).loss(outputs, TARGETS)  # three times all: the same matching
    for name, loss in plain.items():
        assert scaled[name].item() == pytest.approx(3 * loss.item(), rel=1e-5)
    equal = build(background_weight=1.0).loss(outputs, TARGETS)
    expected = slow_losses(outputs.logits[1], outputs.boxes[1], TARGETS, background=1.0)
    assert equal["cls"].item() == pytest.approx(expected["cls"], rel=1e-5)


def test_more_objects_than_queries() -> None:
    """Every query answers for one of them, and boxes are normalised by those."""
    corner = torch.rand(20, 2, generator=torch.Generator().manual_seed(3)) * 30
    crowd = Targets.collate(
        [torch.cat([corner, corner + 15], 1), *BOXES[1:]], [torch.arange(20) % CLASSES, *LABELS[1:]], SIZES
    )
    outputs = random_outputs(layers=1)
    losses = build(depths=(1, 1)).loss(outputs, crowd)
    for name, value in slow_losses(outputs.logits[0], outputs.boxes[0], crowd).items():
        assert losses[name].item() == pytest.approx(value, rel=1e-5)
    assert (hungarian_assign(outputs.logits[0], outputs.boxes[0], crowd)[0] >= 0).all()


def test_perfect_answers_cost_nothing() -> None:
    logits, boxes = torch.full((3, QUERIES, CLASSES + 1), -30.0), torch.full((3, QUERIES, 4), 0.5)
    logits[..., CLASSES] = 30
    for i, (height, width) in enumerate(SIZES):
        for j, (box, label) in enumerate(zip(BOXES[i], LABELS[i], strict=True)):
            x1, y1, x2, y2 = box.tolist()
            place = QUERIES - 1 - j
            values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            boxes[i, place] = torch.tensor(values)
            logits[i, place, CLASSES], logits[i, place, label] = -30, 30
    losses = build(depths=(1, 1)).loss(DETROutput([logits], [boxes]), TARGETS)
    assert all(loss.abs() < 1e-5 for loss in losses.values())
    found = build().decode(DETROutput([logits], [boxes]), TARGETS.sizes)
    keep = found.scores[0] > 0.5
    torch.testing.assert_close(found.boxes[0, keep].flip(0), BOXES[0])
    assert found.labels[0, keep].flip(0).tolist() == LABELS[0].tolist()
    assert found.scores[2].max() < 1e-6, "an image without objects has none"


def test_a_layer_learns_from_its_own_matching() -> None:
    """Two layers that answer for an object by different queries: neither is punished for the other's choice."""
    outputs = random_outputs()
    turned = DETROutput([outputs.logits[0], outputs.logits[0].flip(1)], [outputs.boxes[0], outputs.boxes[0].flip(1)])
    losses = build().loss(turned, TARGETS)
    for name in ("cls", "box", "giou"):
        assert losses[f"d0.{name}"].item() == pytest.approx(losses[name].item(), rel=1e-5)


def test_the_same_box_twice_is_two_detections() -> None:
    outputs = random_outputs()
    outputs.boxes[-1][0] = torch.tensor([0.5, 0.5, 0.25, 0.25])
    outputs.logits[-1][0] = torch.tensor([4.0, 0, 0, 0])
    model = build()
    found = model.nms(*model.decode(outputs, TARGETS.sizes), model.iou_threshold, model.max_detections)
    assert found.counts[0] == QUERIES
    torch.testing.assert_close(found.boxes[0, :QUERIES], torch.tensor([[36.0, 24, 60, 40]]).expand(QUERIES, 4))
    best = math.exp(4) / (math.exp(4) + 3)
    assert found.scores[0, 0].item() == pytest.approx(best, rel=1e-5), "background takes part in the softmax"
    assert found.boxes.shape == (3, 100, 4), "padded to max_detections, of which there are more than queries"


@torch.no_grad()
def test_padding_does_not_matter() -> None:
    """An image alone, and at the top left of a larger input: only the border of convolutions can tell them apart,
    and none is left if what lies beyond is what convolutions would see there."""
    model = build()
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    sizes = torch.tensor([[64, 64]])
    features = model.backbone(image)[0]
    wide = torch.cat([features, 100 * torch.randn(1, features.shape[1], 2, 3)], 3)
    alone = model(image)
    model.backbone.forward = lambda images: [features if images.shape[3] == 64 else wide]
    padded = model(torch.zeros(1, 3, 64, 64 * wide.shape[3] // 2), sizes)
    for x, y in zip((*padded.logits, *padded.boxes), (*alone.logits, *alone.boxes), strict=True):
        torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-4)


def test_sizes_reach_training_and_detection() -> None:
    model = build()
    images = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    whole = Targets(TARGETS.boxes, TARGETS.labels, torch.tensor([[64, 96]] * 3))
    assert model.losses(images, TARGETS)["cls"] != model.losses(images, whole)["cls"]
    found = model.detect(images, TARGETS.sizes)
    for boxes, (height, width) in zip(found.boxes, SIZES, strict=True):
        assert (boxes <= torch.tensor([width, height] * 2)).all()


def test_the_finer_maps() -> None:
    images = torch.randn(2, 3, 64, 64)
    for options, stride, channels in (({}, 32, 512), ({"dilated": True}, 16, 512), ({"level": 4}, 16, 256)):
        model = build(**options)
        assert model.backbone.strides == (stride,)
        (features,) = model.backbone(images)
        assert features.shape == (2, channels, 64 // stride, 64 // stride)
        assert model(images).boxes[-1].shape == (2, QUERIES, 4)


def test_an_exported_graph_serves_other_sizes_and_batches() -> None:
    model = build()

    class Deployed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
            return tuple(self.model.decode(self.model(images, sizes), sizes))

    free = torch.export.Dim.DYNAMIC
    given = (torch.randn(2, 3, 96, 128), torch.tensor([[96, 128], [80, 100]]))
    graph = torch.export.export(Deployed(), given, dynamic_shapes=({0: free, 2: free, 3: free}, {0: free})).module()
    other = (torch.randn(3, 3, 75, 160), torch.tensor([[75, 160], [40, 100], [33, 33]]))
    for found, expected in zip(graph(*other), Deployed()(*other), strict=True):
        torch.testing.assert_close(found, expected)


def test_parts_that_do_not_fit_are_refused() -> None:
    backbone = resnet18(out=(5,))
    with pytest.raises(TypeError, match="encoder is 32 channels wide, its decoder 64"):
        DETR(backbone, Encoder(32, 1, heads=4), Decoder(64, 1, heads=4))
    with pytest.raises(TypeError, match="DETR needs 1 maps, but its ResNet gives 2"):
        DETR(resnet18(out=(4, 5)), Encoder(32, 1, heads=4), Decoder(32, 1, heads=4))


def test_the_recipe_is_the_papers() -> None:
    with torch.device("meta"):
        model = create_model("detr_r50", num_classes=80)
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    groups = parameter_groups(model, learning, recipe)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    for name, parameter in learning.items():
        assert rates[id(parameter)] == pytest.approx(1e-5 if name.startswith("backbone.") else 1e-4), name
    assert {group["weight_decay"] for group in groups} == {1e-4}
    assert (recipe.optimizer, recipe.clip_norm, recipe.epochs, recipe.milestones) == ("adamw", 0.1, 500, (0.8,))
