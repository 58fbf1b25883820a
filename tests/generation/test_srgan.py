"""SRResNet and SRGAN: the generator against a plain reading of the paper, the discriminator, what features weigh."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baimu.generation.perceptual import VGGFeatures
from baimu.generation.srgan import Discriminator, MSRResNet, SRResNet
from baimu.targets import ImageTargets
from baimu.zoo import create_model


def paper(images: Tensor, net: Any, depth: int, steps: tuple[int, ...]) -> Tensor:
    """k9n64s1 PReLU, B residual blocks, k3n64s1 and norm, the skip, pixel shuffles with PReLU, k9n3s1 (Figure 4)."""
    state = net.state_dict()

    def conv(x: Tensor, name: str) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt() * weight[:, None, None] + bias[
            :, None, None
        ]

    def prelu(x: Tensor, name: str) -> Tensor:
        return torch.where(x > 0, x, state[f"{name}.weight"] * x)

    first = x = prelu(conv(images, "first.conv"), "first.act")
    for i in range(depth):
        inner = prelu(norm(conv(x, f"blocks.{i}.inner.conv"), f"blocks.{i}.inner.norm"), f"blocks.{i}.inner.act")
        x = x + norm(conv(inner, f"blocks.{i}.outer.conv"), f"blocks.{i}.outer.norm")
    x = first + norm(conv(x, "middle.conv"), "middle.norm")
    for i, step in enumerate(steps):
        x = conv(x, f"up.{i}.conv")
        b, c, h, w = x.shape
        x = x.reshape(b, c // step**2, step, step, h, w).permute(0, 1, 4, 2, 5, 3).reshape(b, -1, step * h, step * w)
        x = prelu(x, f"up.{i}.act")
    return conv(x, "last")


@pytest.mark.parametrize(("scale", "steps"), [(2, (2,)), (3, (3,)), (4, (2, 2))])
def test_the_generator_is_the_papers(scale: int, steps: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = SRResNet(scale, width=4, depth=2)
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 8, 8))  # norms with statistics of their own
        images = torch.rand(2, 3, 7, 9)
        found = net.eval()(images)
        assert found.shape == (2, 3, 7 * scale, 9 * scale)
        torch.testing.assert_close(found, paper(images, net, 2, steps), atol=1e-5, rtol=1e-4)


def test_counts() -> None:
    """1.5 M as the paper says; the discriminator's by its Figure 4: norms of two numbers, 1024 and 1 dense."""
    with torch.device("meta"):
        assert sum(p.numel() for p in SRResNet(4).parameters()) == 1_547_350
        widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
        convs = sum(9 * a * b for a, b in itertools.pairwise(widths)) + 64 + 2 * sum(widths[2:])
        dense = 512 * 36 * 1024 + 1024 + 1024 + 1
        assert sum(p.numel() for p in Discriminator(96).parameters()) == convs + dense


def test_the_plain_form_begins_near_the_bilinear_enlargement() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 12, 12)
    plain = F.interpolate(images, scale_factor=4, mode="bilinear", align_corners=False)
    with torch.no_grad():
        assert (MSRResNet(4, width=16, depth=2)(images) - plain).abs().max() < 0.02


def batch(model: Any) -> tuple[Tensor, Tensor, ImageTargets]:
    truth = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return torch.rand(2, 3, 8, 8), model.preprocess.normalize(truth), ImageTargets(truth)


def test_losses_of_both_sides() -> None:
    torch.manual_seed(0)
    model: Any = create_model("srgan", width=4, depth=1, crop=32).eval()
    images, truth, targets = batch(model)
    with torch.no_grad():
        made = model(images)
        fake, real = model.discriminator(made).double(), model.discriminator(truth).double()
        g, d = model.g_losses(images, targets), model.d_losses(images, targets)
    assert g["g_content"].item() == pytest.approx((made - truth).square().mean().item(), rel=1e-5)
    assert g["g_gan"].item() == pytest.approx(-1e-3 * torch.sigmoid(fake).log().mean().item(), rel=1e-4)
    assert d["d_real"].item() == pytest.approx(-torch.sigmoid(real).log().mean().item(), rel=1e-4)
    assert d["d_fake"].item() == pytest.approx(-(1 - torch.sigmoid(fake)).log().mean().item(), rel=1e-4)


def test_features_compare_what_vgg_sees() -> None:
    torch.manual_seed(0)
    model: Any = create_model("srgan", width=4, depth=1, crop=32, features="vgg.safetensors").eval()
    images, truth, targets = batch(model)
    features = model.perceptual
    assert not features.trained
    assert not any("perceptual" in key or "network" in key for key in model.state_dict())
    with torch.no_grad():
        seen = (features(model(images)) / 12.75 - features(truth) / 12.75).square().mean()
        assert model.g_losses(images, targets)["g_content"].item() == pytest.approx(seen.item(), rel=1e-4)
    assert features(truth).shape == (2, 512, 2, 2)
    assert seen > 0


def test_features_are_those_after_the_last_relu_before_the_last_pooling() -> None:
    torch.manual_seed(0)
    features = VGGFeatures().train()
    assert not features.network.training
    assert not any(p.requires_grad for p in features.parameters())
    images = torch.rand(1, 3, 32, 32)
    classifier: Any = create_model("vgg19", num_classes=2)
    features.load(classifier.state_dict())
    assert features.trained
    seen: list[Tensor] = []
    classifier.backbone.get_submodule("conv5_4").register_forward_hook(lambda m, i, out: seen.append(out))
    normalised = (images - features.mean) / features.std
    with torch.no_grad():
        classifier.eval().backbone(normalised)
        torch.testing.assert_close(features(images), seen[0])
    with pytest.raises(RuntimeError):
        features.load({"conv1_1.conv.weight": torch.zeros(3)})


@pytest.mark.parametrize("arguments", [{"scale": 5}, {"crop": 90}])
def test_impossible_sizes_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        create_model("srgan", **arguments)
