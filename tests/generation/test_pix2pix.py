"""pix2pix: what the discriminator sees, which levels drop out, how norms behave, and the two sides' losses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baimu.generation.pix2pix import PatchGAN, UNet
from baimu.generation.translator import init_normal_gan, reflected
from baimu.layers.norm import BatchNormByImage, instance_norm
from baimu.targets import ImageTargets
from baimu.zoo import create_model


def test_a_logit_sees_70_pixels() -> None:
    torch.manual_seed(0)
    judge = PatchGAN(3, width=4, norm=lambda channels: nn.Identity()).double()
    images = torch.rand(1, 3, 128, 128, dtype=torch.double, requires_grad=True)
    logits = judge(images)
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    assert images.grad is not None
    rows, columns = (images.grad.abs().sum((0, 1)) > 0).nonzero().T
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (70, 70)
    assert len(rows) == 70 * 70


def test_without_layers_it_looks_at_pixels() -> None:
    judge = PatchGAN(6, width=4, layers=0)
    assert judge(torch.rand(1, 6, 9, 7)).shape == (1, 1, 9, 7)
    assert [p.shape[-1] for p in judge.parameters() if p.dim() == 4] == [1, 1, 1]


@pytest.mark.parametrize(("levels", "dropped"), [(8, [4, 5, 6]), (7, [4, 5]), (5, [])])
def test_the_inner_levels_of_full_width_drop_out(levels: int, dropped: list[int]) -> None:
    net = UNet(levels, width=2)
    assert [*net.dropped] == dropped
    assert [conv.out_channels for conv in net.up] == [3, *[2 * min(2**i, 8) for i in range(levels - 1)]]


def test_noise_is_the_papers_dropout_in_evaluation() -> None:
    torch.manual_seed(0)
    net = UNet(7, width=2).eval()
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(net(images), net(images))
        net.noise = True
        assert not torch.equal(net(images), net(images))


def test_instance_norm_brings_biases() -> None:
    for net in (UNet(5, width=2, norm=instance_norm), PatchGAN(3, width=2, norm=instance_norm)):
        convs = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert all(conv.bias is not None for conv in convs)


def test_in_evaluation_an_image_is_a_batch_of_its_own() -> None:
    norm, like = BatchNormByImage(4), nn.BatchNorm2d(4)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    like.load_state_dict(norm.state_dict())
    images = torch.randn(3, 4, 5, 6) * 4 + 1
    torch.testing.assert_close(norm(images), like(images))  # in training they are the same
    torch.testing.assert_close(norm.running_mean, like.running_mean)
    alone = torch.cat([like(image[None]) for image in images])
    torch.testing.assert_close(norm.eval()(images), alone)
    norm.by_image = False
    like.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(images), like.eval()(images))


def test_the_losses_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    model: Any = create_model("pix2pix", levels=5, width=4, dropout=0.0).train()
    images, truth = (torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8) for _ in range(2))
    a, b = (model.preprocess.normalize(x) for x in (images, truth))
    with torch.no_grad():
        made = model.generator(a)
        fake, real = (model.discriminator(torch.cat([a, x], 1)).double() for x in (made, b))
        g, d = model.g_losses(a, ImageTargets(truth)), model.d_losses(a, ImageTargets(truth))
    assert d["d_real"].item() == pytest.approx(-0.5 * torch.sigmoid(real).log().mean().item(), rel=1e-5)
    assert d["d_fake"].item() == pytest.approx(-0.5 * (1 - torch.sigmoid(fake)).log().mean().item(), rel=1e-5)
    assert g["g_gan"].item() == pytest.approx(-torch.sigmoid(fake).log().mean().item(), rel=1e-5)
    assert g["g_l1"].item() == pytest.approx(100 * (made - b).abs().double().mean().item(), rel=1e-5)


def test_weights_begin_as_in_the_paper() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(64, 64, 4), BatchNormByImage(4096), nn.ConvTranspose2d(64, 64, 4))
    init_normal_gan(net)
    for layer in (net[0], net[2]):
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert layer.bias is not None
        assert layer.bias.abs().max() == 0
    assert isinstance(net[1].weight, Tensor)
    assert net[1].weight.mean().item() == pytest.approx(1.0, abs=2e-3)
    assert net[1].weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_reflection_reaches_any_multiple() -> None:
    row = torch.arange(3.0)[None, None, None].expand(1, 1, 2, 3)
    assert reflected(row, 8)[0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert reflected(row, 8).shape == (1, 1, 8, 8)
    assert reflected(row[..., :1, :1], 4).shape == (1, 1, 4, 4)
    assert math.prod(reflected(row, 1).shape) == 6


def test_a_shallow_net_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 5 levels, got 4"):
        UNet(4)
