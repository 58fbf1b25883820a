"""From logits to the classes of the source's pixels: sizes, windows, several scales and mirror images, confidence."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.errors import BaimuError, UnknownNameError
from baimu.inference.predictor import Predictor, predict
from baimu.preprocess import Preprocess
from baimu.results import Segmentation
from baimu.semantic_segmentation.segmenter import Segmenter


class Pixels(nn.Module):
    channels, strides = (3,), (1,)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


class Brightness(nn.Module):
    """Three classes, by which channel is brightest; ``smooth`` looks at every fourth cell."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, maps: list[Tensor]) -> Tensor:
        return F.avg_pool2d(maps[0], self.stride) * self.scale


def model(stride: int = 1, **preprocess: Any) -> Segmenter:
    made = Segmenter(Pixels(), Brightness(stride), num_classes=3)
    made.preprocess = Preprocess(pad_to=1, **{"resize": "none", **preprocess})
    made.classes = ("red", "green", "blue")
    return made.eval()


def picture(height: int = 48, width: int = 60) -> np.ndarray:
    """Three stripes."""
    image = np.full((height, width, 3), 40, np.uint8)
    for k in range(3):
        image[:, k * width // 3 : (k + 1) * width // 3, k] = 220
    return image


def stripes(height: int = 48, width: int = 60) -> np.ndarray:
    return np.repeat(np.arange(3, dtype=np.uint8), width // 3)[None].repeat(height, 0)


def test_each_pixel_of_the_source_has_its_class() -> None:
    (found,) = predict(model(), picture())
    assert isinstance(found, Segmentation)
    np.testing.assert_array_equal(found.labels, stripes())
    assert found.names == ("red", "green", "blue")
    assert found.confidence is None


@pytest.mark.parametrize(
    "changes", [{"resize": "shortest", "size": 24}, {"resize": "shortest", "size": 96, "max_size": 999}]
)
def test_another_input_size_comes_back_to_the_source(changes: dict[str, Any]) -> None:
    (found,) = predict(model(**changes), picture())
    assert found.labels.shape == (48, 60)
    assert (found.labels == stripes()).mean() > 0.93
    (square,) = predict(model(resize="letterbox", size=120), picture())
    assert (square.labels == stripes()).mean() > 0.93


def test_windows_scales_and_mirror_images_agree_where_all_say_the_same() -> None:
    ways: list[dict[str, Any]] = [
        {"window": 20},
        {"window": (16, 24), "window_stride": 8},
        {"scales": (0.5, 1.0, 1.5), "flip": True},
    ]
    for options in ways:
        network = model()
        (found,) = predict(network, picture(), **options)
        assert (found.labels == stripes()).mean() > 0.93, options
        assert network.window is None, "the model is left as it was"


def test_the_mean_of_several_views_by_hand() -> None:
    network, image = model(stride=4), picture()
    (found,) = predict(network, image, scales=(1.0, 2.0), flip=True, confidence=True)
    x = network.preprocess.normalize(torch.from_numpy(image).permute(2, 0, 1)[None])
    total = torch.zeros(3, 48, 60)
    for scale in (1, 2):
        scaled = F.interpolate(x, scale_factor=scale, mode="bilinear") if scale > 1 else x
        for turn in (False, True):
            logits = network(scaled.flip(3) if turn else scaled).detach()
            logits = F.interpolate(logits, scaled.shape[2:], mode="bilinear")
            logits = logits.flip(3) if turn else logits
            total += F.interpolate(logits, (48, 60), mode="bilinear")[0].softmax(0)
    best = (total / 4).max(0)
    np.testing.assert_array_equal(found.labels, best.indices.numpy())
    assert np.abs(found.confidence - best.values.numpy() * 255).max() <= 0.51


def test_confidence_is_the_probability_of_the_best_class() -> None:
    network = model()
    (found,) = predict(network, picture(), confidence=True)
    x = network.preprocess.normalize(torch.from_numpy(picture()).permute(2, 0, 1)[None])
    expected = network.segment(x)[0].softmax(0).amax(0).numpy() * 255
    assert np.abs(found.confidence - expected).max() <= 0.51


def test_images_of_several_sizes_never_share_a_batch() -> None:
    seen: list[tuple[int, ...]] = []
    network = model()
    network.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape)))
    images = [picture(), picture(), picture(30, 60), picture(30, 60), picture()]
    found = list(Predictor(network, fold=False)(images, batch_size=4))
    assert [f.labels.shape for f in found] == [image.shape[:2] for image in images]
    assert [shape[0] for shape in seen] == [2, 2, 1]


def test_wrong_options() -> None:
    with pytest.raises(UnknownNameError, match="scales"):
        predict(model(), picture(), **cast("Any", {"scale": 2}))
    with pytest.raises(BaimuError, match="factors above 0"):
        predict(model(), picture(), scales=())
    for wrong in (0, (8, 8, 8), (8, -1)):
        with pytest.raises(BaimuError, match=r"window_stride=.*: give pixels, at least 1"):
            predict(model(), picture(), window=8, window_stride=wrong)
