"""Grad-CAM against independent computations, on classifiers and detectors, which it leaves as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.stages import Stages
from baimu.classification.classifier import Classifier
from baimu.detection.detector import Candidates, Detector
from baimu.errors import BaimuError, DataError, UnknownNameError
from baimu.inference.explaining import explain, grad_cam, hires_cam
from baimu.inference.predictor import predict
from baimu.preprocess import Preprocess
from baimu.zoo import create_model

PLAIN = {"mean": (0, 0, 0), "std": (255, 255, 255)}


class Tiny(Stages):
    """Two levels of strides 2 and 4."""

    def __init__(self, out=(1, 2)) -> None:
        super().__init__({1: (4, 2), 2: (6, 4)}, out=out)
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)

    def parts(self, level: int) -> list[nn.Module]:
        return [self.conv1 if level == 1 else self.conv2, nn.Tanh()]


class BothMaps(nn.Module):
    """A head that is not linear and reads all maps."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, 8), nn.Linear(8, classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        pooled = torch.cat([m.square().mean((2, 3)) for m in maps], 1)
        return self.last(self.first(pooled).tanh())


def tiny(seed: int = 0, classes: int = 3) -> Classifier:
    torch.manual_seed(seed)
    model = Classifier(Tiny(), num_classes=classes)
    model.preprocess = Preprocess(**PLAIN, resize="stretch", size=16, pad_to=1)
    return model.eval()


def noise(seed: int = 0, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("method", [grad_cam, hires_cam])
def test_the_equations_against_loops(method):
    rng = np.random.default_rng(0)
    activations, gradients = rng.normal(size=(2, 2, 5, 3, 4))
    expected = np.zeros((2, 3, 4))
    for b, i, j in np.ndindex(2, 3, 4):
        own = [gradients[b, c].sum() / 12 if method is grad_cam else gradients[b, c, i, j] for c in range(5)]
        expected[b, i, j] = max(0.0, sum(activations[b, c, i, j] * own[c] for c in range(5)))
    found = method(torch.from_numpy(activations).float(), torch.from_numpy(gradients).float())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", [1, 2])
def test_a_head_that_is_not_linear_by_finite_differences(level):
    """The gradient at every cell of the map by nudging it, in float64, through all that follows."""
    model = tiny()
    model.head = BothMaps(3)
    [found] = explain(model, noise(), class_name="class 1", level=level)
    model.double()
    with torch.no_grad():
        images = torch.from_numpy(noise()).permute(2, 0, 1)[None].double() / 255
        first = model.backbone.stage(1, images)
        second = model.backbone.stage(2, first)

    def logit(nudged: Tensor) -> float:
        with torch.no_grad():
            maps = [nudged, model.backbone.stage(2, nudged)] if level == 1 else [first, nudged]
            return float(model.head(maps)[0, 1])

    here = first if level == 1 else second
    gradient, step = torch.zeros_like(here), 1e-4
    for place in np.ndindex(*here.shape):
        up, down = here.clone(), here.clone()
        up[place] += step
        down[place] -= step
        gradient[place] = (logit(up) - logit(down)) / (2 * step)
    cam = (here * gradient.mean((2, 3), keepdim=True)).sum(1)[0].clamp(min=0)
    np.testing.assert_allclose(found.map, cam / cam.max(), atol=1e-4)
    assert found.map.shape == ((8, 8), (4, 4))[level - 1]


@pytest.mark.parametrize("method", ["grad_cam", "hires_cam"])
def test_of_a_linear_head_on_a_mean_it_is_cam(method):
    """1512.04150: the maps weighed by the class's row of the last layer, here normalised to 1."""
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=5, small_images=True).eval()
    model.preprocess = model.preprocess.replace(size=64, crop_share=1.0)
    images = [noise(i, 64, 64) for i in range(3)]
    nn.init.normal_(model.head.linear.weight)
    found = explain(model, images, class_name="class 3", batch_size=2, method=method)
    for image, one in zip(images, found, strict=True):
        with torch.no_grad():
            pixels = model.preprocess.normalize(torch.from_numpy(image).permute(2, 0, 1)[None])
            maps = model.backbone(pixels)[-1][0]
        cam = torch.einsum("c,chw->hw", model.head.linear.weight[3].detach(), maps).clamp(min=0)
        assert cam.max() > 0
        np.testing.assert_allclose(one.map, cam / cam.max(), atol=1e-4)


def test_the_best_class_unless_one_is_named():
    model = tiny()
    [best] = explain(model, noise())
    [predicted] = predict(model, noise())
    assert (best.label, best.score) == (predicted.label, pytest.approx(predicted.score, abs=1e-5))
    [named] = explain(model, noise(), class_name="class 2")
    assert (named.name, named.score) == ("class 2", pytest.approx(float(predicted.probabilities[2]), abs=1e-5))
    with pytest.raises(UnknownNameError, match="class 2"):
        explain(model, noise(), class_name="class 22")


def test_several_labels_have_probabilities_of_their_own():
    model = tiny()
    model.multi_label = True
    [found], [predicted] = explain(model, noise()), predict(model, noise())
    assert found.score == pytest.approx(predicted.score, abs=1e-5)


def test_heat_is_in_the_pixels_of_the_source():
    """A class that is its red: hot is where the source is red."""
    model = tiny(classes=2)
    nn.init.zeros_(model.backbone.conv1.weight)
    nn.init.zeros_(model.backbone.conv1.bias)
    nn.init.zeros_(model.backbone.conv2.weight)
    nn.init.zeros_(model.backbone.conv2.bias)
    with torch.no_grad():
        model.backbone.conv1.weight[0, 0, 1, 1] = 1
        model.backbone.conv2.weight[0, 0, 1, 1] = 1
        model.head.linear.weight[:] = 0
        model.head.linear.weight[1, 0] = 1
    model.preprocess = Preprocess(**PLAIN, resize="crop", size=64, crop_share=1.0, pad_to=1)
    image = np.zeros((100, 180, 3), np.uint8)
    image[10:40, 110:130, 0] = 255
    [found] = explain(model, image, class_name="class 1")
    hot = found.heat > 0.8
    assert hot.shape == (100, 180)
    rows, columns = np.nonzero(hot)
    assert (rows.min(), columns.min()) == (pytest.approx(10, abs=6), pytest.approx(110, abs=6))
    assert (rows.max(), columns.max()) == (pytest.approx(39, abs=6), pytest.approx(129, abs=6))
    assert found.heat[:, :35].max() == 0, "the crop cut it away"


def state(model: nn.Module) -> list:
    return [
        (name, p.requires_grad, p.grad if p.grad is None else p.grad.clone(), p.detach().clone())
        for name, p in model.named_parameters()
    ]


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_model_is_left_as_it_was(context, frozen):
    """Parameters, gradients, modes and hooks; in any mode of autograd, whatever is frozen."""
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=2, small_images=True).train()
    model.preprocess = model.preprocess.replace(size=32)
    model.backbone.layer2.eval()
    model.head.linear.weight.grad = torch.full_like(model.head.linear.weight, 7.0)
    model.requires_grad_(not frozen)
    before, modes = state(model), [m.training for m in model.modules()]
    buffers = [b.clone() for b in model.buffers()]
    with context():
        [found] = explain(model, noise())
    assert found.map.max() == 1
    assert [m.training for m in model.modules()] == modes
    for (name, learns, gradient, values), (_, now, new, same) in zip(before, state(model), strict=True):
        assert learns == now, name
        assert (gradient is None) == (new is None), name
        assert gradient is None or torch.equal(gradient, new), name
        assert torch.equal(values, same), name
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    assert not model.backbone._forward_hooks


def test_batches_and_streams_change_nothing():
    model = tiny()
    images = [noise(i, 20 + i, 30) for i in range(5)]
    alone = explain(model, images)
    for a, b in zip(alone, explain(model, iter(images), batch_size=3, stream=True), strict=True):
        np.testing.assert_allclose(a.map, b.map, atol=1e-5)
        assert a.label == b.label


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 5}, "level 5 is not among the maps of this backbone: 1, 2"),
        ({"detection": 0}, "has no detections"),
        ({"method": "gradcam"}, "Did you mean grad_cam"),
    ],
)
def test_what_there_is_not_is_refused(arguments, message):
    with pytest.raises(BaimuError, match=message):
        explain(tiny(), noise(), **arguments)


def test_a_network_without_a_backbone_is_refused():
    model = tiny()
    del model.backbone
    with pytest.raises(BaimuError, match="has no backbone"):
        explain(model, noise())


class Patches(Stages):
    """Mean colours of 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__({3: (3, 8)}, out=(3,))
        self.pool = nn.AvgPool2d(8)

    def parts(self, level: int) -> list[nn.Module]:
        return [self.pool]


class Quarters(Detector):
    """An object in each quarter of an image of 64 x 64: red (class 0) or green (class 1), scored by its mean colour."""

    def __init__(self) -> None:
        super().__init__(num_classes=3, iou_threshold=0.5, max_detections=6)
        self.backbone = Patches()
        self.score_threshold = 0.0
        self.preprocess = Preprocess(**PLAIN, resize="none", pad_to=64)

    def forward(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(self.backbone(images)[0][:, :, :8, :8], 4)

    def decode(self, outputs: Tensor, sizes: Tensor) -> Candidates:
        batch = outputs.shape[0]
        corners = torch.tensor([[x, y, x + 32, y + 32] for y in (0, 32) for x in (0, 32)], dtype=torch.float32)
        scores = outputs[:, :2].flatten(1)
        labels = torch.arange(2).repeat_interleave(4).expand(batch, -1)
        return Candidates(corners.repeat(2, 1).expand(batch, -1, -1), scores * (scores > self.score_threshold), labels)


@pytest.fixture
def quarters() -> np.ndarray:
    """Red 0.8 and 0.4 above, green 0.6 below at the left."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :32, 0], image[:32, 32:, 0], image[32:, :32, 1] = 204, 102, 153
    return image


@pytest.mark.parametrize(
    ("arguments", "label", "score", "found"),
    [
        ({}, 0, 0.8, [0, 1]),  # of the best's class
        ({"score_threshold": 0.5}, 0, 0.8, [0]),
        ({"score_threshold": 0.9}, 0, 0.8, [0]),  # none is so sure: the best alone
        ({"class_name": "class 1"}, 1, 0.6, [2]),
        ({"detection": 1}, 1, 0.6, [2]),
        ({"detection": 2}, 0, 0.4, [1]),
        ({"detection": 1, "class_name": "class 0"}, 0, 0.4, [1]),
        ({"class_name": "class 2"}, -1, 0.0, []),
    ],
)
def test_the_detections_that_are_explained(quarters, arguments, label, score, found):
    """Their score is a mean of the class's colour: by Grad-CAM the heat is that colour wherever it is, else where the
    detections in question are."""
    [one] = explain(Quarters(), quarters, **arguments)
    [everywhere] = explain(Quarters(), quarters, method="grad_cam", **arguments)
    assert (one.label, one.score) == (label, pytest.approx(score))
    corners = np.array([[0, 0, 32, 32], [32, 0, 64, 32], [0, 32, 32, 64]])
    np.testing.assert_array_equal(one.boxes, corners[found].reshape(-1, 4))
    colour = quarters[4::8, 4::8, max(label, 0)] / 255.0 * (label >= 0)
    np.testing.assert_allclose(everywhere.map, colour / max(colour.max(), 1e-9), atol=1e-5)
    asked = np.zeros((8, 8))
    for left, top, right, bottom in corners[found] // 8:
        asked[top:bottom, left:right] = colour[top:bottom, left:right]
    np.testing.assert_allclose(one.map, asked / max(asked.max(), 1e-9), atol=1e-5)


def test_a_detection_that_is_not_there_is_named(quarters):
    with pytest.raises(DataError, match="image 0: there is no detection 3"):
        explain(Quarters(), quarters, detection=3)


def test_the_numbers_are_those_of_predict(quarters):
    model = Quarters()
    [predicted] = predict(model, quarters)
    for number in range(len(predicted)):
        [one] = explain(model, quarters, detection=number)
        assert one.score == pytest.approx(predicted.scores[number])
        np.testing.assert_array_equal(one.boxes, predicted.boxes[number : number + 1])


def test_padding_says_nothing(quarters):
    """A picture padded to its neighbour's size has the same map as alone."""
    wide = np.concatenate([quarters, np.full((64, 64, 3), 255, np.uint8)], 1)
    together = explain(Quarters(), [quarters, wide], batch_size=2)
    [alone] = explain(Quarters(), quarters)
    np.testing.assert_allclose(together[0].map, alone.map, atol=1e-5)
    assert together[1].map.shape == (8, 16)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fcos_r18_fpn", {"width": 64, "depth": 1}),
        ("retinanet_r18_fpn", {}),
        ("faster_rcnn_r18_fpn", {"width": 32, "hidden": 32, "test_proposals": (20, 20)}),
        ("cascade_rcnn_r18_fpn", {"width": 32, "hidden": 32, "test_proposals": (20, 20)}),
        ("mask_rcnn_r18_fpn", {"width": 32, "hidden": 32, "test_proposals": (20, 20)}),
        ("detr_r18", {"width": 32, "heads": 2, "hidden": 32, "depths": (1, 1)}),
    ],
)
def test_every_detector_can_be_explained(name, options):
    """The coarsest and the finest level that its backbone gives: the scores have a gradient down to there."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=2, scratch=True, **options).train()
    model.preprocess = Preprocess(resize="none")
    model.score_threshold = 0.001
    peaks = []
    for level in {model.backbone.out[0], model.backbone.out[-1]}:
        [found] = explain(model, noise(3, 64, 96), level=level, detection=0)
        assert found.label >= 0
        assert len(found.boxes) == 1
        assert found.map.shape == (64 // 2**level, 96 // 2**level)
        assert np.isfinite(found.map).all()
        assert found.map.min() >= 0
        peaks.append(float(found.map.max()))
    assert 1 in peaks
    assert model.training


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v1_x0_25", "shufflenet_v1_x0_5", "squeezenet1_1", "efficientnet_b0", "dla46x_c", "hrnet_w18_small"],
)
def test_every_kind_of_backbone_can_be_explained(name):
    """Chains and networks that are none, at each level that they give; the catalogue's own defaults."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=3)
    model.preprocess = model.preprocess.replace(size=64)
    peaks = []
    for level in model.backbone.out:
        [found] = explain(model, noise(3, 70, 90), level=level)
        assert found.map.shape == pytest.approx((64 // 2**level, 64 // 2**level), abs=1)
        assert np.isfinite(found.heat).all()
        peaks.append(float(found.map.max()))
    assert 1 in peaks
