"""What every embedder of the catalogue must keep: one list of checks over all names."""

from __future__ import annotations

import copy
import functools
import inspect
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from baimu.embedding.embedder import Embedder
from baimu.embedding.reid_baseline import IdentityHead
from baimu.preprocess import Preprocess
from baimu.targets import IdTargets
from baimu.zoo import builder_of, create_model, list_models, model_info, recipe_of

Check = Callable[[Any], None]

CLASSES, SIZE = 3, 32
NAMES = list_models(task="embedding")
DEEP = ("arcface_iresnet34", "arcface_iresnet50", "arcface_iresnet100", "reid_baseline_r50")
"""Differ from the smallest of their family in depth alone, and get the checks that a wrong wiring of it would fail."""


def build(name: str, **arguments: Any) -> Embedder:
    torch.manual_seed(0)
    fixed = name.startswith("arcface_iresnet")
    model = create_model(name, **{"num_classes": CLASSES, **({"size": SIZE} if fixed else {}), **arguments})
    assert isinstance(model, Embedder)
    with torch.no_grad():  # statistics as after training
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0
        model.train()(images(8, seed=9))
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 0.1
    return model.eval()


def created(name: str, **arguments: Any) -> Any:
    return create_model(name, **arguments)


def images(count: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


TARGETS = IdTargets(torch.tensor([0, 0, 2, 2]))


def backward(model: Embedder, batch: Tensor, targets: IdTargets) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    losses = model.losses(batch, targets)
    torch.stack([*losses.values()]).sum().backward()
    return losses


# Checks of every name.


def check_its_name_is_remembered(model: Embedder) -> None:
    assert model.spec is not None
    name, arguments = model.spec
    with torch.device("meta"):
        again = create_model(name, **arguments)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert all(p.is_meta for p in again.parameters())


def check_it_says_whom_it_learns_and_how_images_come_in(model: Embedder) -> None:
    assert model.num_classes == len(model.classes) == CLASSES
    assert isinstance(model.preprocess, Preprocess)
    assert model.preprocess.pad_to == 1
    assert model.spec is not None
    assert re.fullmatch(r"\d{4}\.\d{5}", model_info(model.spec[0]).paper)
    assert recipe_of(model.spec[0]).epochs >= 1
    default = inspect.signature(builder_of(model.spec[0])).parameters["num_classes"].default
    assert default > 700, "the paper's identities"


def check_embeddings_are_of_length_1_and_its_size(model: Embedder) -> None:
    found = model.embed(images())
    assert found.shape == (4, model.dim)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    assert torch.pdist(found).min() > 0.5, "images differ, which is what makes the equalities below worth something"


def check_losses_are_finite_scalars_by_name(model: Embedder) -> None:
    for name, loss in model.train().losses(images(), TARGETS).items():
        assert loss.shape == (), name
        assert loss.dtype == torch.float32, name
        assert bool(torch.isfinite(loss)), name
        assert loss.item() > 0, name


def check_every_parameter_learns(model: Embedder) -> None:
    backward(model.train(), images(), TARGETS)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} is not reached"
            assert bool(torch.isfinite(parameter.grad).all()), name
            assert bool(parameter.grad.any()), f"{name} has a gradient of zero"


# Checks of the smallest name of each family.


def check_forward_is_one_thing_in_both_modes(model: Embedder) -> None:
    evaluated, trained = model(images()), model.train()(images())
    assert evaluated.shape == trained.shape == (4, model.dim)


def check_one_image_equals_the_first_of_two(model: Embedder) -> None:
    torch.testing.assert_close(model.embed(images())[:1], model.embed(images()[:1]), rtol=1e-4, atol=1e-5)


def check_the_mirrored_image_is_added(model: Embedder) -> None:
    plain, mirrored = model(images()).float(), model(images().flip(3)).float()
    model.flip = True
    expected = torch.nn.functional.normalize(plain + mirrored)
    torch.testing.assert_close(model.embed(images()), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.embed(images()), model.embed(images().flip(3)), rtol=1e-4, atol=1e-5)


def check_nobody_teaches_nothing(model: Embedder) -> None:
    """Samples without identity change no loss; a batch of them has the loss 0, and gradients of 0."""
    some = IdTargets(torch.tensor([0, 0, 2, 2, -1]))
    with_nobody, without = model.losses(images(5), some), model.losses(images(5)[:4], TARGETS)
    for name, loss in without.items():
        assert with_nobody[name].item() == pytest.approx(loss.item(), rel=1e-4, abs=1e-6), name
    losses = backward(model, images(), IdTargets(torch.full((4,), -1)))
    assert all(loss.item() == 0 for loss in losses.values())


def check_one_identity(model: Embedder) -> None:
    assert model.spec is not None
    name, arguments = model.spec
    single = build(name, **{**arguments, "num_classes": 1})
    losses = backward(single.train(), images(), IdTargets(torch.zeros(4, dtype=torch.int64)))
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())


def check_the_order_of_samples_does_not_matter(model: Embedder) -> None:
    order = torch.tensor([2, 0, 3, 1])
    found = model.losses(images()[order], IdTargets(TARGETS.ids[order]))
    for name, loss in model.losses(images(), TARGETS).items():
        assert found[name].item() == pytest.approx(loss.item(), rel=1e-4, abs=1e-6), name


def check_autocast_gives_float32_losses(model: Embedder) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.losses(images(), TARGETS)
        assert model.embed(images()).dtype == torch.float32
    for name, loss in model.losses(images(), TARGETS).items():
        assert losses[name].dtype == torch.float32
        assert losses[name].item() == pytest.approx(loss.item(), rel=0.2, abs=0.2), name


def check_state_goes_into_another(model: Embedder) -> None:
    assert model.spec is not None
    name, arguments = model.spec
    other, file = created(name, **arguments).eval(), io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert (other.embed(images()) - model.embed(images())).norm(dim=1).min() > 0.1
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other.embed(images()), model.embed(images()))


def check_folded_norms_compute_the_same(model: Embedder) -> None:
    folded = model.optimize(compile=False)
    norms = [sum(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()) for network in (folded, model)]
    assert norms[0] < norms[1]
    torch.testing.assert_close(folded.embed(images()), model.embed(images()), rtol=1e-3, atol=1e-4)


def check_the_head_is_gone_in_use(model: Embedder) -> None:
    before = model.embed(images())
    with torch.no_grad():
        for value in [*model.head.parameters(), *model.head.buffers()]:
            value.fill_(7.0)
    assert torch.equal(model.embed(images()), before)


OF_EVERY_NAME: tuple[Check, ...] = (
    check_its_name_is_remembered,
    check_it_says_whom_it_learns_and_how_images_come_in,
    check_embeddings_are_of_length_1_and_its_size,
    check_losses_are_finite_scalars_by_name,
    check_every_parameter_learns,
)
OF_EVERY_FAMILY: tuple[Check, ...] = (
    check_forward_is_one_thing_in_both_modes,
    check_one_image_equals_the_first_of_two,
    check_the_mirrored_image_is_added,
    check_nobody_teaches_nothing,
    check_one_identity,
    check_the_order_of_samples_does_not_matter,
    check_autocast_gives_float32_losses,
    check_state_goes_into_another,
    check_folded_norms_compute_the_same,
    check_the_head_is_gone_in_use,
)


@functools.cache
def built(name: str) -> Embedder:
    return build(name)


@pytest.mark.parametrize(
    ("name", "check"),
    [(n, c) for n in NAMES for c in OF_EVERY_NAME + (OF_EVERY_FAMILY if n not in DEEP else ())],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)
def test_contract(name: str, check: Check) -> None:
    check(copy.deepcopy(built(name)))


def test_every_check_is_listed() -> None:
    listed = {c.__name__ for c in OF_EVERY_NAME + OF_EVERY_FAMILY}
    assert {name for name in globals() if name.startswith("check_")} == listed


def test_parameters_are_the_papers() -> None:
    """Without identities: insightface's and the strong baseline's counts, on the meta device."""
    expected = {
        "arcface_iresnet18": 24_025_600, "arcface_iresnet34": 34_139_328, "arcface_iresnet50": 43_590_848,
        "arcface_iresnet100": 65_156_160, "reid_baseline_r50": 23_512_128,
    }  # fmt: skip
    for name, count in expected.items():
        with torch.device("meta"):
            model = created(name, num_classes=CLASSES)
        own = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in model.head.parameters())
        assert own == count, name


def test_options_of_the_names() -> None:
    gem = created("reid_baseline_r18", num_classes=3, gem=True, margin=None, center_weight=0.0)
    assert gem.neck.pool.p.item() == 3
    losses = gem.train().losses(images(), TARGETS)
    assert losses.keys() == {"id", "triplet"}
    assert not [*gem.head.buffers()]
    cos = created("arcface_r18", num_classes=3, margin=(1.0, 0.0, 0.35), scale=30.0)
    assert cos.train().losses(images(), TARGETS)["margin"].item() > 0
    for bad in ({"like": "papre"}, {"like": "insightface", "margin": (0.9, 0.4, 0.15)}):
        with pytest.raises((ValueError, Exception), match=r"papre|m1 = 1 only"):
            created("arcface_r18", num_classes=3, **bad)


def test_like_changes_what_it_says() -> None:
    heads: dict[str, IdentityHead] = {}
    for like in ("paper", "strong_baseline", "fastreid"):
        model = created("reid_baseline_r18", num_classes=11, like=like)
        heads[like] = model.head
        assert isinstance(model.backbone.act1, torch.nn.Identity) == (like == "strong_baseline")
        shape = model.backbone(torch.zeros(1, 3, 64, 32))[-1].shape[2:]
        assert shape == (4, 2), "the last stage keeps its map"
    assert heads["fastreid"].smoothing == pytest.approx(0.1 * 11 / 10)
    assert heads["fastreid"].center_weight == 0
    assert heads["paper"].center_weight == heads["strong_baseline"].center_weight == 0.0005
