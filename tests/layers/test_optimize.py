"""An optimised copy says what the model says, in 16 bits nearly, and leaves the model alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baimu.layers.fused import Fused, FusedConv2d
from baimu.zoo import create_model
from tests.layers.test_norm import learned, noise


def model_of(name: str) -> Any:
    torch.manual_seed(0)
    model = create_model(name, num_classes=5)
    for i, layer in enumerate(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        learned(layer, seed=i)
    return model.eval()


def apart(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "efficientnet_b0"])
@pytest.mark.parametrize(
    ("options", "limit"),
    [({}, 1e-4), ({"compile": "eager"}, 1e-4), ({"precision": "bf16"}, 0.1)],
    ids=["folded", "compiled", "bf16"],
)
def test_logits_are_the_models(name: str, options: dict[str, Any], limit: float) -> None:
    model, images = model_of(name), noise(2, 3, 64, 64)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        expected = model(images)
    fast = model.optimize(**{"compile": False, **options})
    assert apart(fast(images), expected) < limit
    assert apart(fast.classify(images), model.classify(images)) < limit
    assert any(isinstance(layer, FusedConv2d) for layer in fast.modules())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_maps_and_weights_are_of_16_bits() -> None:
    fast = model_of("resnet18").optimize(precision="bf16", compile=False)
    weights = {p.dtype for m in fast.modules() if isinstance(m, Fused) for p in m.parameters()}
    assert weights == {torch.bfloat16}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert {x.dtype for x in fast.backbone(noise(1, 3, 64, 64))} == {torch.bfloat16}


def test_a_detector_too() -> None:
    detector, images = model_of("fcos_r18_fpn"), noise(1, 3, 64, 64)
    with torch.no_grad():
        expected = detector(images)
    found = detector.optimize(compile=False)(images)
    for part, other in zip(found.logits, expected.logits, strict=True):
        assert apart(part, other) < 1e-4
    half = detector.optimize(precision="bf16", compile=False)
    assert half.detect(images).boxes.dtype == torch.float32
    assert apart(half(images).logits[0], expected.logits[0]) < 0.1


def test_a_predictor_takes_it_as_it_is() -> None:
    model = model_of("resnet18")
    model.preprocess = model.preprocess.replace(size=64)
    picture = (255 * torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))).byte().numpy()
    expected, found = model.predict(picture)[0], model.optimize(compile=False).predict(picture)[0]
    assert apart(torch.from_numpy(found.probabilities), torch.from_numpy(expected.probabilities)) < 1e-4
