"""The same parameters and inputs give what the references gave: junyanz's U-Net and PatchGAN, BasicSR's MSRResNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baimu.generation.pix2pix import Pix2Pix
from baimu.layers.norm import BatchNormByImage
from baimu.losses.adversarial import least_squares_gan_loss, vanilla_gan_loss
from baimu.targets import ImageTargets
from baimu.weights import basicsr, junyanz
from baimu.weights.keys import KeyTable, Route, convert_back, renamed
from baimu.zoo import create_model
from tests.parity.golden import Golden, filled

TOLERANCE = 1e-5
PATCHGAN: KeyTable = (
    (r"^model\.(0)\.", r"discriminator.stages.\1.conv."),
    *((rf"^model\.{2 + 3 * i}\.", f"discriminator.stages.{i + 1}.conv.") for i in range(3)),
    *((rf"^model\.{3 + 3 * i}\.", f"discriminator.stages.{i + 1}.norm.") for i in range(3)),
    (r"^model\.11\.", "discriminator.judge."),
)


def parameters(golden: Golden, part: str, route: Route) -> dict[str, Tensor]:
    """One module's parameters under our names."""
    made = {}
    for name, shape, kind, scale in golden.meta["states"][part]:
        made[name] = torch.from_numpy(np.asarray(filled(name, shape, kind, scale), np.float32))
    return renamed(made, route)


def names(golden: Golden, key: str, route: Route) -> list[str]:
    """Of the parameters whose gradients are stored, ours."""
    return [*renamed({name: torch.zeros(()) for name in golden.meta["grad_names"][key]}, route)]


def noise(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def gradients(model: nn.Module, losses: dict[str, Tensor], order: list[str]) -> np.ndarray:
    model.zero_grad(set_to_none=True)
    torch.stack([*losses.values()]).sum().backward()
    own = dict(model.named_parameters())
    return np.array([float(own[name].grad.double().norm()) for name in order])  # pyright: ignore


@pytest.fixture(scope="module")
def pix2pix(shared: Path) -> Golden:
    return Golden.read(shared / "goldens/pix2pix/pix2pix_unet256_patchgan70.npz")


@pytest.fixture(scope="module")
def srresnet(shared: Path) -> Golden:
    return Golden.read(shared / "goldens/basicsr/srresnet.npz")


@pytest.fixture
def model(pix2pix: Golden) -> Pix2Pix:
    made: Any = create_model("pix2pix", dropout=0.0)
    made.load_state_dict(
        parameters(pix2pix, "G", junyanz.SOURCE.route("pix2pix")) | parameters(pix2pix, "D", Route("", PATCHGAN))
    )
    for norm in made.modules():
        if isinstance(norm, BatchNormByImage):
            norm.by_image = False
    return made


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    return torch.tanh(noise(0, 2, 3, 256, 256)), torch.tanh(noise(1, 2, 3, 256, 256))


class TestPix2Pix:
    def test_counts(self, pix2pix: Golden, model: Pix2Pix) -> None:
        for part, own in (("G", model.generator), ("D", model.discriminator)):
            assert sum(p.numel() for p in own.parameters()) == pix2pix.meta["parameters"][part]

    @torch.no_grad()
    def test_outputs(self, pix2pix: Golden, model: Pix2Pix, pair: tuple[Tensor, Tensor]) -> None:
        model.eval()
        assert pix2pix.difference("eval/G(A)", model(pair[0])) < TOLERANCE
        assert pix2pix.difference("eval/D(A,B)", model.discriminator(torch.cat(pair, 1))) < TOLERANCE

    @torch.no_grad()
    def test_outputs_with_the_statistics_of_the_batch(
        self, pix2pix: Golden, model: Pix2Pix, pair: tuple[Tensor, Tensor]
    ) -> None:
        made = model.train()(pair[0])
        assert pix2pix.difference("train/G(A)", made) < 5e-5  # the reference moves by 1.7e-5 between processors
        assert pix2pix.difference("train/D(A,G(A))", model.discriminator(torch.cat([pair[0], made], 1))) < 5e-5
        assert pix2pix.difference("train/D(A,B)", model.discriminator(torch.cat(pair, 1))) < TOLERANCE
        first = model.generator.get_submodule("down_norms.1").running_mean
        key = "train/running_mean_after_one_pass/model.model.1.model.2"
        assert isinstance(first, Tensor)
        assert pix2pix.difference(key, first) < TOLERANCE

    @pytest.mark.parametrize(("kind", "loss"), [("vanilla", vanilla_gan_loss), ("lsgan", least_squares_gan_loss)])
    def test_losses_and_gradients(
        self, pix2pix: Golden, model: Pix2Pix, pair: tuple[Tensor, Tensor], kind: str, loss: Any
    ) -> None:
        model.train().gan_loss = loss
        model.preprocess = model.preprocess.replace(mean=(0.0,) * 3, std=(1.0,) * 3)  # the truth as it is stored
        targets: Any = ImageTargets(torch.zeros(2, 3, 256, 256, dtype=torch.uint8))
        object.__setattr__(targets, "images", pair[1])
        values = pix2pix.meta["values"]
        losses = model.d_losses(pair[0], targets)
        assert 2 * losses["d_fake"].item() == pytest.approx(values[f"loss/{kind}/D_fake"], rel=TOLERANCE)
        assert 2 * losses["d_real"].item() == pytest.approx(values[f"loss/{kind}/D_real"], rel=TOLERANCE)
        found = gradients(model, losses, names(pix2pix, f"{kind}/D", Route("", PATCHGAN)))
        # the first bias' gradient is a sum that all but cancels; in float64 ours stays where it is
        stored = pix2pix.arrays[f"grad_norms/{kind}/D"]
        np.testing.assert_allclose(found, stored, rtol=2e-4, atol=1e-5 * stored.max())
        losses = model.g_losses(pair[0], targets)
        assert losses["g_gan"].item() == pytest.approx(values[f"loss/{kind}/G_GAN"], rel=1e-4)
        assert losses["g_l1"].item() == pytest.approx(values[f"loss/{kind}/G_L1_times_100"], rel=TOLERANCE)
        found = gradients(model, losses, names(pix2pix, f"{kind}/G", junyanz.SOURCE.route("pix2pix")))
        stored = pix2pix.arrays[f"grad_norms/{kind}/G"]  # norms of 8 values magnify rounding: it moves by 7.7e-5 itself
        np.testing.assert_allclose(found, stored, rtol=0, atol=2e-4 * stored.max())

    def test_the_table_leads_back(self, pix2pix: Golden) -> None:
        route = junyanz.SOURCE.route("pix2pix")
        theirs = [name for name, *_ in pix2pix.meta["states"]["G"]]
        assert [*convert_back(parameters(pix2pix, "G", route), route)] == theirs


class TestMSRResNet:
    @pytest.mark.parametrize("scale", [2, 3, 4])
    def test_outputs_and_counts(self, srresnet: Golden, scale: int) -> None:
        model: Any = create_model("msrresnet", scale=scale, depth=16 if scale == 4 else 2)
        model.load_state_dict(parameters(srresnet, f"x{scale}", basicsr.MSRRESNET))
        assert sum(p.numel() for p in model.parameters()) == srresnet.meta["parameters"][f"x{scale}"]
        with torch.no_grad():
            assert srresnet.difference(f"eval/x{scale}", model.eval()(images())) < TOLERANCE

    def test_loss_and_gradients(self, srresnet: Golden) -> None:
        model: Any = create_model("msrresnet")
        model.load_state_dict(parameters(srresnet, "x4", basicsr.MSRRESNET))
        model.preprocess = model.preprocess.replace(std=(1.0,) * 3)
        targets: Any = ImageTargets(torch.zeros(2, 3, 96, 128, dtype=torch.uint8))
        object.__setattr__(targets, "images", images(1, 96, 128))
        losses = model.losses(images(), targets)
        assert losses["pixels"].item() == pytest.approx(srresnet.meta["values"]["loss/x4/l1"], rel=TOLERANCE)
        found = gradients(model, losses, names(srresnet, "x4/l1", basicsr.MSRRESNET))
        np.testing.assert_allclose(found, srresnet.arrays["grad_norms/x4/l1"], rtol=1e-4)

    def test_the_table_leads_back(self, srresnet: Golden) -> None:
        theirs = [name for name, *_ in srresnet.meta["states"]["x4"]]
        assert [*convert_back(parameters(srresnet, "x4", basicsr.MSRRESNET), basicsr.MSRRESNET)] == theirs


def images(seed: int = 0, height: int = 24, width: int = 32) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).random_sample((2, 3, height, width)).astype(np.float32))
