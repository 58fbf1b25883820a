"""CycleGAN: the generator against a plain reading of the paper, counts, losses, pools, and the reference's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.generation.cyclegan import ResNetGenerator
from baimu.generation.pix2pix import PatchGAN
from baimu.layers.norm import instance_norm
from baimu.targets import ImageTargets
from baimu.weights.junyanz import SOURCE
from baimu.weights.keys import convert, convert_back
from baimu.zoo import create_model


def paper(images: Tensor, state: dict[str, Tensor], blocks: int) -> Tensor:
    """c7s1-64, d128, d256, R256 x n, u128, u64, c7s1-3 (1703.10593 §7.2), from the weights of ``state`` in order."""
    convs: Iterator[tuple[Tensor, Tensor]] = iter(zip(*(iter(state.values()),) * 2, strict=True))

    def norm(x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt()

    def conv(x: Tensor, border: int, **options: Any) -> Tensor:
        x = F.pad(x, (border,) * 4, mode="reflect") if border else x
        return F.conv2d(x, *next(convs), **options)

    x = norm(conv(images, 3)).relu()
    for _ in range(2):
        x = norm(conv(x, 0, stride=2, padding=1)).relu()
    for _ in range(blocks):
        x = x + norm(conv(norm(conv(x, 1)).relu(), 1))
    for _ in range(2):
        x = norm(F.conv_transpose2d(x, *next(convs), stride=2, padding=1, output_padding=1)).relu()
    return conv(x, 3).tanh()


@pytest.mark.parametrize("blocks", [9, 6])
def test_the_generator_is_the_papers(blocks: int) -> None:
    torch.manual_seed(0)
    net = ResNetGenerator(blocks, width=6).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    images = torch.rand(2, 3, 24, 16, dtype=torch.double) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(net(images), paper(images, dict(net.named_parameters()), blocks))
        for parameter in net.parameters():  # another state, so that the match is none of chance
            parameter.mul_(1.3)
        torch.testing.assert_close(net(images), paper(images, dict(net.named_parameters()), blocks))


@pytest.mark.parametrize(("blocks", "count"), [(9, 11_378_179), (6, 7_837_699)])
def test_counts_are_the_references(blocks: int, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNetGenerator(blocks).parameters()) == count
        assert sum(p.numel() for p in PatchGAN(3, norm=instance_norm).parameters()) == 2_764_737


def small() -> Any:
    torch.manual_seed(0)
    return create_model("cyclegan", blocks=1, width=4, pool_size=2)


def batch(model: Any, seed: int = 0) -> tuple[Tensor, Tensor, ImageTargets]:
    made = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(0, 256, (2, 3, 32, 32), generator=made, dtype=torch.uint8) for _ in range(2))
    return model.preprocess.normalize(a), model.preprocess.normalize(b), ImageTargets(b)


def test_the_losses_are_those_of_the_paper() -> None:
    model = small()
    a, b, targets = batch(model)
    to_a, to_b = model.generator["a"], model.generator["b"]
    with torch.no_grad():
        g = model.g_losses(a, targets)
        fake_b, fake_a = to_b(a), to_a(b)
        expected = {
            "g_gan_b": (model.discriminator["b"](fake_b) - 1).square().mean(),
            "g_gan_a": (model.discriminator["a"](fake_a) - 1).square().mean(),
            "g_cycle_a": 10 * (to_a(fake_b) - a).abs().mean(),
            "g_cycle_b": 10 * (to_b(fake_a) - b).abs().mean(),
            "g_identity_a": 5 * (to_a(a) - a).abs().mean(),
            "g_identity_b": 5 * (to_b(b) - b).abs().mean(),
        }
        torch.testing.assert_close(g, expected)
        d = model.d_losses(a, targets)
        for domain, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
            judge = model.discriminator[domain]
            torch.testing.assert_close(d[f"d_real_{domain}"], 0.5 * (judge(real) - 1).square().mean())
            torch.testing.assert_close(d[f"d_fake_{domain}"], 0.5 * judge(fake).square().mean())  # pools were empty


def test_the_discriminators_see_the_fakes_that_the_generators_made() -> None:
    model = small()
    a, _, targets = batch(model)
    model.g_losses(a, targets)
    made = targets.made["b"]
    assert not made.requires_grad
    for parameter in model.generator.parameters():  # what they would make now is nothing alike
        nn.init.normal_(parameter)
    model.d_losses(a, targets)
    assert torch.equal(torch.stack(model.pools["b"].images), made)


def test_alone_the_discriminators_make_fakes_themselves() -> None:
    model = small()
    a, _, targets = batch(model)
    d = model.d_losses(a, targets)
    torch.stack([*d.values()]).sum().backward()
    assert all(p.grad is None for p in model.generator.parameters())
    with torch.no_grad():
        assert torch.equal(torch.stack(model.pools["b"].images), model(a))


def test_generators_that_change_nothing_have_no_cycle_to_pay() -> None:
    model = small()
    model.generator = nn.ModuleDict({"a": nn.Identity(), "b": nn.Identity()})
    a, _, targets = batch(model)
    losses = model.g_losses(a, targets)
    assert losses["g_cycle_a"] == losses["g_cycle_b"] == losses["g_identity_a"] == 0


@pytest.mark.parametrize(("name", "blocks"), [("cyclegan", 9), ("cyclegan_resnet6", 6)])
def test_files_of_the_reference_are_the_generator_of_b(name: str, blocks: int) -> None:
    """Its names, from its order of layers: padding, convolution, norm, ReLU, and so on."""
    model: Any = create_model(name, width=2)
    places = [1, 4, 7, *(f"{10 + i}.conv_block.{k}" for i in range(blocks) for k in (1, 5))]
    places += [10 + blocks, 13 + blocks, 17 + blocks]
    own = list(model.generator["b"].parameters())
    theirs = {f"model.{p}.{kind}": own.pop(0).detach() for p in places for kind in ("weight", "bias")}
    assert not own
    old = {**theirs, "model.2.running_mean": torch.zeros(2), "model.2.num_batches_tracked": torch.tensor(0)}
    found = convert(old, model, SOURCE)
    expected = {f"generator.b.{key}": value for key, value in model.generator["b"].state_dict().items()}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)
    assert convert_back(found, SOURCE.route(name)).keys() == theirs.keys()
