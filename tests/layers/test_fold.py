"""The inference copy of a network: it computes the same, and the network itself stays as it was."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor, nn

from baimu.backbones.resnet import resnet18, resnet50
from baimu.layers.conv import ConvNorm
from baimu.layers.fold import fold_norms
from baimu.layers.fused import FusedConv2d
from baimu.layers.norm import FrozenBatchNorm2d, batch_norm, frozen_batch_norm, group_norm, sync_batch_norm
from baimu.zoo import create_model
from tests.layers.test_norm import learned, noise

KINDS = ("retinanet_r18_fpn", "fcos_r18_fpn", "fcos_center_r18_fpn", "faster_rcnn_r18_fpn")


def trained(model: nn.Module) -> nn.Module:
    """Norms as after training: without this, folding would have nothing to get wrong."""
    norms = (nn.BatchNorm2d, FrozenBatchNorm2d, nn.GroupNorm)
    for i, layer in enumerate(m for m in model.modules() if isinstance(m, norms)):
        learned(layer, seed=i)
    return model.eval()


def tensors(outputs: object) -> list[Tensor]:
    """All tensors of a detector's outputs, nested as they may be."""
    if isinstance(outputs, Tensor):
        return [outputs]
    return [x for part in outputs for x in tensors(part)]


def assert_close(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        scale = theirs.abs().max()
        assert scale > 1e-6, "nothing to compare"
        assert (ours - theirs).abs().max() <= tolerance * scale


@pytest.mark.parametrize("scratch", [False, True], ids=["frozen", "scratch"])
@pytest.mark.parametrize("name", KINDS)
def test_a_folded_detector_gives_the_same_outputs(name: str, scratch: bool) -> None:
    torch.manual_seed(0)
    model = trained(create_model(name, num_classes=3, scratch=scratch))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    folded = fold_norms(model)
    images = noise(2, 3, 64, 96)
    with torch.no_grad():
        expected, found = model(images), folded(images)
        maps, folded_maps = model.neck(model.backbone(images)), folded.neck(folded.backbone(images))
    assert type(found) is type(expected)
    assert_close(folded_maps, maps, 1e-5)
    if name.startswith("faster"):  # the order of near-equal proposals may change: compare what does not depend on it
        expected, found = expected[:3], found[:3]
    assert_close(tensors(found), tensors(expected), 1e-4)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()), "the model itself is untouched"
    assert not any(isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d | nn.Conv2d) for m in folded.modules())
    assert not any(p.requires_grad for p in folded.parameters())
    assert not folded.training


@pytest.mark.parametrize("make", [batch_norm, sync_batch_norm, frozen_batch_norm, group_norm])
@pytest.mark.parametrize("bias", [False, True])
def test_no_norm_is_lost_whatever_its_kind(make, bias: bool) -> None:
    """A group norm cannot be folded and must go on being computed."""
    torch.manual_seed(0)
    tower = nn.Sequential(*(ConvNorm(32, 32, norm=make, bias=bias) for _ in range(2)))
    for layer in tower:
        learned(layer.norm)
    x = noise(2, 32, 6, 6)
    torch.testing.assert_close(fold_norms(tower)(x), tower.eval()(x), atol=1e-5, rtol=1e-5)


def test_neighbours_in_a_sequential_are_folded_and_a_lone_norm_is_not() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        learned(batch_norm(3)), nn.Conv2d(3, 8, 3), learned(batch_norm(8)), nn.ReLU(), nn.Conv2d(8, 4, 1)
    )
    x = noise(1, 3, 6, 6)
    folded = fold_norms(net)
    torch.testing.assert_close(folded(x), net.eval()(x), atol=1e-5, rtol=1e-5)
    assert [isinstance(m, nn.BatchNorm2d) for m in folded] == [True, False, False, False, False]


@pytest.mark.parametrize("build", [resnet18, resnet50])
def test_a_folded_backbone_runs_in_bfloat16(build) -> None:
    torch.manual_seed(0)
    model = trained(build(norm=frozen_batch_norm))
    folded, images = fold_norms(model), noise(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = folded(images)
        cast = fold_norms(model).bfloat16()(images.bfloat16())
    for found in (mixed, cast):
        assert {x.dtype for x in found} == {torch.bfloat16}
        for ours, theirs in zip(found, expected, strict=True):
            assert 0 < (ours.float() - theirs).norm() < 0.05 * theirs.norm()


def test_a_folded_network_can_be_copied_stored_and_moved_after_use() -> None:
    torch.manual_seed(0)
    folded = fold_norms(trained(resnet18()))
    images = noise(1, 3, 64, 64)
    with torch.no_grad():
        expected = folded(images)
        again = copy.deepcopy(folded)(images)
        file = io.BytesIO()
        torch.save(folded, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)(images)
        moved = folded.double().float()(images)
    for found in (again, loaded, moved):
        assert_close(found, expected, 1e-6)


def test_new_weights_are_used_also_after_the_first_call() -> None:
    conv = fold_norms(nn.Sequential(nn.Conv2d(3, 4, 3)))[0]
    assert isinstance(conv, FusedConv2d)
    x = noise(1, 3, 5, 5)
    with torch.no_grad():
        first = conv(x)
        conv.load_state_dict({"weight": conv.weight * 2, "bias": conv.bias * 2})
        torch.testing.assert_close(conv(x), first * 2)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("plain", [False, True], ids=["one pass", "plain operators"])
def test_a_fused_convolution_is_conv_add_relu(add: bool, relu: bool, plain: bool, monkeypatch) -> None:
    if plain:
        monkeypatch.setattr("baimu.layers.fused._has_post_operations", lambda: False)
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 3, 2, 1, groups=2).requires_grad_(False)
    x, other = noise(2, 8, 9, 9), noise(2, 16, 5, 5, seed=2)
    kept = other.clone()
    found = FusedConv2d(conv).fused(x, other if add else None, relu)
    expected = conv(x) + other if add else conv(x)
    torch.testing.assert_close(found, expected.relu() if relu else expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(other, kept), "the summand is not written to"


ACTIVATIONS = (
    nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.5, 0.7), nn.LeakyReLU(0.2), nn.SiLU(), nn.Hardswish(), nn.Sigmoid(),
    nn.Hardsigmoid(), nn.Tanh(), nn.GELU(), nn.GELU("tanh"), nn.Mish(), nn.ELU(), nn.PReLU(),
)  # fmt: skip
"""Those that oneDNN computes, and others."""


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
@torch.no_grad()
def test_a_fused_convolution_ends_with_any_activation(act: nn.Module, add: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 3, 1, 1, groups=8)
    x, other = noise(2, 8, 9, 9) * 5, noise(2, 16, 9, 9, seed=2)
    plain = conv(x) + other if add else conv(x)
    torch.testing.assert_close(FusedConv2d(conv).fused(x, other if add else None, act=act), act(plain))
