"""FCN and DeepLabV3 equal torchvision's with its parameters: logits of both heads, loss and gradients; and their files
are recognised and given back."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import segmentation

from baimu import zoo
from baimu.semantic_segmentation.segmenter import Segmenter
from baimu.targets import UNDECIDED, MapTargets
from baimu.weights import torchvision
from baimu.weights.keys import convert_back, load_converted

CLASSES, SIZE = 5, (65, 96)
PAIRS = {"fcn_r50": segmentation.fcn_resnet50, "deeplabv3_r50": segmentation.deeplabv3_resnet50}


@cache
def pair(name: str) -> tuple[Segmenter, nn.Module]:
    torch.manual_seed(0)
    make: Any = PAIRS[name]
    peer = make(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)
    random = torch.Generator().manual_seed(1)
    norms = [m for m in peer.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.2, generator=random)
        nn.init.uniform_(norm.bias, -0.2, 0.2, generator=random)
        norm.momentum = 1.0
    with torch.no_grad():
        peer.train()(images())
    model = zoo.create_model(name, num_classes=CLASSES, like="torchvision")
    load_converted(model, peer.state_dict(), torchvision.SOURCE.route(name))
    assert isinstance(model, Segmenter)
    return model.eval(), peer.eval()


def images() -> Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def targets() -> MapTargets:
    labels = torch.randint(0, CLASSES, (2, *SIZE), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    labels[:, :5] = UNDECIDED
    return MapTargets(labels, torch.tensor([SIZE, SIZE]))


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", PAIRS)
def test_logits_of_both_heads(name: str) -> None:
    model, peer = pair(name)
    with torch.no_grad():
        theirs = peer(images())
        assert_close(model.segment(images()), theirs["out"])
        assert model.auxiliary is not None
        assert_close(model.resized(model.auxiliary(model.maps(images())), SIZE), theirs["aux"])


@pytest.mark.parametrize("name", PAIRS)
def test_losses_and_gradients(name: str) -> None:
    """torchvision's training: cross entropy over decided pixels, the auxiliary head's times 0.5."""
    model, peer = pair(name)
    model.zero_grad()
    peer.zero_grad()
    losses = model.losses(images(), targets())
    theirs, labels = peer(images()), targets().labels.long()
    main, helper = (F.cross_entropy(theirs[k], labels, ignore_index=UNDECIDED) for k in ("out", "aux"))
    assert losses["cross_entropy"].item() == pytest.approx(main.item(), rel=1e-5)
    assert losses["auxiliary"].item() == pytest.approx(0.5 * helper.item(), rel=1e-5)
    torch.stack([*losses.values()]).sum().backward()
    (main + 0.5 * helper).backward()
    ours = convert_back({n: p.grad for n, p in model.named_parameters() if p.grad is not None}, route(name))
    norms = {n: p.grad.double().norm().item() for n, p in peer.named_parameters() if p.grad is not None}
    assert ours.keys() == norms.keys()
    floor = 1e-3 * max(norms.values())
    assert max(abs(ours[n].double().norm().item() - v) / max(v, floor) for n, v in norms.items()) < 1e-4


def route(name: str) -> Any:
    return torchvision.SOURCE.route(name)


@pytest.mark.parametrize("name", PAIRS)
def test_parameters_go_back(name: str) -> None:
    model, peer = pair(name)
    back, theirs = convert_back(model.state_dict(), route(name)), peer.state_dict()
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", PAIRS)
def test_their_files_are_recognised(name: str, tmp_path: Any) -> None:
    import baimu

    model, peer = pair(name)
    path = tmp_path / "theirs.pth"
    torch.save(peer.state_dict(), path)
    loaded: Any = baimu.load(path)
    assert loaded.spec == (name, {"like": "torchvision", "num_classes": CLASSES})
    assert (loaded.preprocess.size, loaded.preprocess.pad_to) == (520, 1)
    with torch.no_grad():
        assert_close(loaded.eval().segment(images()), model.segment(images()))
