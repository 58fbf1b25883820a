"""DETR equals transformers': raw outputs of every layer with padding, losses, gradients, detections."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from baimu.detection.detr import DETR, detr_r50
from baimu.targets import Targets
from baimu.weights.huggingface import DETR as ROUTE
from baimu.weights.keys import convert_back, load_converted

transformers = pytest.importorskip("transformers", reason="needs transformers: pip install transformers")

CLASSES, QUERIES, PLACES = 5, 12, 40
BOXES = (
    torch.tensor([[12.0, 9, 60, 71], [70, 5, 121, 60], [31, 40, 58, 88]]),
    torch.tensor([[5.0, 8, 66, 70]]),
    torch.zeros(0, 4),
)
LABELS = (torch.tensor([1, 4, 0]), torch.tensor([2]), torch.zeros(0, dtype=torch.int64))
PADDED = [
    ((128, 160), [(128, 160), (100, 130), (65, 64)]),
    ((170, 109), [(141, 97), (170, 109), (33, 109)]),
]
"""Input size and the valid (height, width) of its three images."""

FACTORS = {r"query_position": 16.0, r"decoder.*[qk]_proj": 4.0, r"encoder\..*o_proj": 0.3, r"(bbox|class).*weight": 2.0}
"""Of random weights. At 1 all queries would see the mean of the map, and the map would be alike everywhere."""


def random_parameters(model: nn.Module) -> None:
    """Such that norms and positions matter, no activation explodes, and the queries do not all answer alike."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=generator) if value.is_floating_point() else torch.zeros(())
        if name.endswith("running_var"):
            value.copy_(1 + 0.1 * noise.abs())
        elif value.dim() == 1:
            value.copy_(0.1 * noise + (name.endswith("weight")))
        elif value.dim() > 1:
            factor = next((f for pattern, f in FACTORS.items() if re.search(pattern, name)), 1.0)
            value.copy_(noise * factor * (1.0 / value[0].numel()) ** 0.5)


def build_peer(backbone: object) -> nn.Module:
    names = {i: f"class {i}" for i in range(CLASSES)}
    config = transformers.DetrConfig(
        backbone_config=backbone,
        num_queries=QUERIES,
        id2label=names,
        label2id={name: i for i, name in names.items()},
        attn_implementation="eager",
    )
    peer = transformers.DetrForObjectDetection(config)
    random_parameters(peer)
    return peer.eval()


@pytest.fixture(scope="module")
def models() -> tuple[DETR, nn.Module]:
    peer = build_peer(transformers.ResNetConfig(out_features=["stage4"]))
    ours = detr_r50(CLASSES, queries=QUERIES, max_detections=PLACES).eval()
    load_converted(ours, peer.state_dict(), ROUTE)
    return ours, peer


def make_images(height: int, width: int) -> Tensor:
    return torch.randn(3, 3, height, width, generator=torch.Generator().manual_seed(1))


def make_mask(sizes: list[tuple[int, int]], height: int, width: int) -> Tensor:
    """Their ``pixel_mask``: 1 where the image is."""
    mask = torch.zeros(len(sizes), height, width, dtype=torch.int64)
    for place, (h, w) in zip(mask, sizes, strict=True):
        place[:h, :w] = 1
    return mask


def their_labels(sizes: list[tuple[int, int]]) -> list[dict[str, Tensor]]:
    """Boxes cxcywh in 0…1 of the valid image."""
    labels = []
    for boxes, classes, (height, width) in zip(BOXES, LABELS, sizes, strict=True):
        x1, y1, x2, y2 = boxes.unbind(1)
        centres = torch.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height], 1)
        labels.append({"class_labels": classes, "boxes": centres})
    return labels


def their_layers(peer: nn.Module, images: Tensor, mask: Tensor) -> list[dict[str, Tensor]]:
    """Logits and boxes of every decoder layer. Their own ``auxiliary_loss`` gives others: with it they feed each layer
    the normed state of the last, which changes what the network computes."""
    states: list[Tensor] = []
    hooks = [x.register_forward_hook(lambda *of: states.append(of[-1])) for x in peer.model.decoder.layers]
    raw = peer(images, mask)
    for hook in hooks:
        hook.remove()
    normed = [peer.model.decoder.layernorm(state) for state in states]
    layers = [{"logits": peer.class_labels_classifier(x), "boxes": peer.bbox_predictor(x).sigmoid()} for x in normed]
    assert torch.equal(layers[-1]["logits"], raw.logits)
    assert torch.equal(layers[-1]["boxes"], raw.pred_boxes)
    return layers


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize(("size", "valid"), PADDED)
def test_outputs_of_every_layer_with_padding(models, size, valid) -> None:
    ours, peer = models
    with torch.no_grad():
        found = ours(make_images(*size), torch.tensor(valid))
        expected = their_layers(peer, make_images(*size), make_mask(valid, *size))
    assert len(expected) == len(found.logits) == len(found.boxes) == 6
    for logits, boxes, layer in zip(*found, expected, strict=True):
        assert_close(logits, layer["logits"])
        assert_close(boxes, layer["boxes"])
    for x in (found.logits[-1], found.boxes[-1]):
        assert x.std(1).mean() > 0.02, "the queries answer differently: there is something to compare"


@pytest.mark.parametrize(("size", "valid"), PADDED)
def test_losses_and_gradients(models, size, valid) -> None:
    """Theirs are not weighted yet. With no fewer queries than objects both divide by the objects."""
    ours, peer = models
    images = make_images(*size)
    losses = ours.losses(images, Targets.collate(BOXES, LABELS, valid))
    layers = their_layers(peer, images, make_mask(valid, *size))
    expected: dict[str, Tensor] = {}
    for i, layer in enumerate(layers):
        given = (layer["logits"], their_labels(valid), images.device, layer["boxes"], peer.config)
        _, parts, _ = peer.loss_function(*given)
        prefix = f"d{i}." if i < 5 else ""
        weighted = {"cls": parts["loss_ce"], "box": 5 * parts["loss_bbox"], "giou": 2 * parts["loss_giou"]}
        expected |= {prefix + name: value for name, value in weighted.items()}
    assert losses.keys() == expected.keys()
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-4), name

    ours.zero_grad()
    peer.zero_grad()
    sum(losses.values()).backward()
    sum(expected.values()).backward()
    found = convert_back({k: p.grad for k, p in ours.named_parameters() if p.grad is not None}, ROUTE)
    theirs = {k: p.grad for k, p in peer.named_parameters() if not k.startswith("model.backbone.")}  # other names
    largest = max(gradient.norm() for gradient in theirs.values())
    for name, gradient in theirs.items():
        assert (found[name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6 * largest, name


def test_detections_are_those_of_their_processor(models) -> None:
    """Every query once, with its best class: in the pixels of the valid image, which theirs does not clip to."""
    ours, peer = models
    (size, valid), images = PADDED[0], make_images(*PADDED[0][0])
    with torch.no_grad():
        found = ours.detect(images, torch.tensor(valid))
        raw = peer(images, make_mask(valid, *size))
    scores, labels = raw.logits.softmax(-1)[..., :-1].max(-1)
    order = scores.argsort(1, descending=True)
    assert found.counts.tolist() == [QUERIES] * 3
    assert_close(found.scores[:, :QUERIES], scores.gather(1, order))
    assert torch.equal(found.labels[:, :QUERIES], labels.gather(1, order))
    for i, (height, width) in enumerate(valid):
        x, y, w, h = raw.pred_boxes[i, order[i]].unbind(1)
        corners = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1) * torch.tensor([width, height] * 2)
        corners = torch.minimum(corners.clamp(min=0), torch.tensor([width, height] * 2))
        assert_close(found.boxes[i, :QUERIES], corners)


def test_files_of_their_published_names_are_read_too(models) -> None:
    """timm's backbone below ``conv_encoder``, and the projections' and perceptrons' names before version 5."""
    ours, _ = models
    theirs = convert_back({k: v for k, v in ours.state_dict().items() if not k.endswith("num_batches_tracked")}, ROUTE)
    published = {}
    for key, value in theirs.items():
        key = key.replace("model.backbone.model.", "model.backbone.conv_encoder.model.")
        key = key.replace(".o_proj.", ".out_proj.").replace(".mlp.fc", ".fc")
        published[key] = value
    assert "model.backbone.conv_encoder.model.layer4.2.bn3.running_var" in published
    assert "model.encoder.layers.0.self_attn.out_proj.bias" in published
    again = detr_r50(CLASSES, queries=QUERIES)
    load_converted(again, published, ROUTE)
    for key, value in ours.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
