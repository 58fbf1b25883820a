"""VGG beyond what every family shows: its numbers against torchvision's with a narrow classifier (the true one has
100 M parameters), other libraries' names, and the base of SSD."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import ssd300_vgg16

from baimu.backbones.vgg import convolved, vgg11, vgg16_ssd
from baimu.weights.families.vgg import DEPTHS, ROUTES
from baimu.weights.keys import Route, convert_back, load_converted, renamed
from baimu.zoo import create_model
from tests.backbones.test_families import close, noise, without_dropout
from tests.parity.observe import Trace
from tests.parity.peers.filled import fill

HIDDEN = 24


def route(source: str, name: str) -> Route:
    return next(route for route in ROUTES[source] if route.models == name)


def narrow(name: str) -> nn.Module:
    """torchvision's network with ``HIDDEN`` in the place of 4096."""
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, num_classes=10)
    fc6, fc7, fc8 = nn.Linear(512 * 49, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 10)
    drop = (nn.ReLU(), nn.Dropout(0.5))
    theirs.classifier = nn.Sequential(fc6, *drop, fc7, *drop, fc8)
    return fill(theirs.to_empty(device="cpu"))


TAPS = {
    "vgg11": {0: 1, 1: 4, 2: 9, 3: 14, 4: 19, 5: 20},
    "vgg16_bn": {0: 5, 1: 12, 2: 22, 3: 32, 4: 42, 5: 43},
}
"""Levels and torchvision's layers: after the ReLU and before the pooling."""


@pytest.mark.parametrize("name", list(TAPS))
def test_maps_logits_gradients_and_statistics_are_torchvisions(name: str) -> None:
    theirs, ours = narrow(name), create_model(name, num_classes=10, hidden=HIDDEN, out=tuple(range(6)))
    load_converted(ours, theirs.state_dict(), route("torchvision", name))
    backbone = getattr(ours, "backbone")  # noqa: B009
    for side in (32, 65):
        images = noise(2, side, side + 7)
        taps = {level: f"features.{place}" for level, place in TAPS[name].items()}
        with torch.no_grad(), Trace(theirs, *taps.values()) as trace:
            close(ours.eval()(images), theirs.eval()(images), "logits")
            for found, module in zip(backbone(images), taps.values(), strict=True):
                close(found, trace[module], module)
    for model in (theirs.train(), ours.train()):
        without_dropout(model)
        nn.functional.cross_entropy(model(noise(4, 32, 32)), torch.tensor([0, 9, 3, 3])).backward()
    grads = renamed({n: p.grad for n, p in theirs.named_parameters() if p.grad is not None}, route("torchvision", name))
    assert len(grads) == len(list(ours.parameters()))
    for key, grad in grads.items():
        found = ours.get_parameter(key).grad
        assert found is not None
        # a bias before a batch norm has no gradient but rounding
        if not (name.endswith("bn") and key.endswith("conv.bias")):
            close(found, grad, key, 1e-3)
    statistics = {n: b for n, b in theirs.named_buffers() if "running" in n}
    for key, value in renamed(statistics, route("torchvision", name)).items():
        close(ours.get_buffer(key), value, key)


class MmVgg(nn.Module):
    """mmpretrain's VGG in a few lines: a list of convolutions (with norm and ReLU) and poolings, and the classifier."""

    def __init__(self, depths: tuple[int, ...], *, norm: bool) -> None:
        super().__init__()
        layers, channels = [], 3
        for block, depth in enumerate(depths):
            width = min(64 * 2**block, 512)
            for _ in range(depth):
                conv: dict[str, nn.Module] = {"conv": nn.Conv2d(channels, width, 3, padding=1)}
                conv |= {"bn": nn.BatchNorm2d(width)} if norm else {}
                layers.append(nn.ModuleDict(conv))
                channels = width
            layers.append(nn.MaxPool2d(2))
        dense = [nn.Linear(512, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 5)]
        self.backbone = nn.ModuleDict({"features": nn.Sequential(*layers), "classifier": nn.Sequential(*dense)})

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.backbone["features"].children():
            x = layer(x) if isinstance(layer, nn.MaxPool2d) else _all(layer, x).relu()
        return self.backbone["classifier"](x.flatten(1))


def _all(layers: nn.Module, x: Tensor) -> Tensor:
    for layer in layers.children():
        x = layer(x)
    return x


@pytest.mark.parametrize(("depth", "norm"), [(11, False), (16, True)])
def test_openmmlabs_names(depth: int, norm: bool) -> None:
    name = f"vgg{depth}_bn" if norm else f"vgg{depth}"
    theirs = fill(MmVgg(DEPTHS[depth], norm=norm))
    ours = create_model(name, num_classes=5, hidden=8).eval()
    getattr(ours, "head").cells = 1  # noqa: B009 - of images of 32 pixels one cell is left, on which theirs has no mean
    getattr(ours, "head").fc6 = nn.Linear(512, 8)  # noqa: B009
    load_converted(ours, theirs.state_dict(), route("openmmlab", name))
    with torch.no_grad():
        close(ours(noise(2, 32, 32)), theirs(noise(2, 32, 32)), "logits")


def test_timms_hidden_layers_are_convolutions() -> None:
    weight = torch.arange(2 * 3 * 7 * 7.0).reshape(2, 3, 7, 7)
    state = {"pre_logits.fc1.weight": weight, "pre_logits.fc2.weight": weight[:, :2, :1, :1]}
    found = renamed(state, route("timm", "vgg11"))
    images = noise(1, 7, 7)
    expected = nn.functional.conv2d(images, weight).flatten(1)
    torch.testing.assert_close(images.flatten(1) @ found["head.fc6.weight"].T, expected)
    back = convert_back({**found, "head.fc6.weight": weight.flatten(1)}, route("timm", "vgg11"))
    assert {key: value.shape for key, value in back.items()} == {
        "pre_logits.fc1.weight": (2, 3, 7, 7),
        "pre_logits.fc2.weight": (2, 2, 1, 1),
    }


def test_the_classifier_of_small_images_is_small() -> None:
    with torch.device("meta"):
        model = create_model("vgg11", small_images=True)
        maps = getattr(model, "backbone")(torch.empty(1, 3, 28, 28))  # noqa: B009
    assert sum(p.numel() for p in getattr(model, "head").parameters()) < 1_100_000  # noqa: B009
    assert maps[-1].shape == (1, 512, 3, 3)


def test_level_0_is_frozen_with_level_1_and_not_before() -> None:
    with torch.device("meta"):
        free, frozen = vgg11(), vgg11(frozen_stages=1)
    assert all(p.requires_grad for p in free.parameters())
    assert {n.split(".")[0] for n, p in frozen.named_parameters() if not p.requires_grad} == {"conv1_1", "conv2_1"}


def test_the_base_of_ssd_is_torchvisions() -> None:
    """20.48 M parameters; conv4_3 is read after its ReLU, and the third pooling rounds up (75 cells give 38)."""
    theirs, ours = ssd300_vgg16(weights=None, weights_backbone=None).backbone, vgg16_ssd().eval()
    assert sum(p.numel() for p in ours.parameters()) == 20_483_904
    first, second = fill(theirs.get_submodule("features")), fill(theirs.get_submodule("extra.0"))
    in_order = [*first.state_dict().values(), *second.state_dict().values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), in_order, strict=True)))
    images = noise(1, 44, 52)
    with torch.no_grad():
        conv4_3, fc7 = ours(images)
        close(conv4_3, first(images), "conv4_3")
        close(fc7, second(first(images)), "fc7")
    assert conv4_3.min() == 0 < conv4_3.max()
    assert (ours.channels, ours.strides) == ((512, 1024), (8, 16))
    with torch.device("meta"):
        assert [m.shape[2] for m in vgg16_ssd()(torch.empty(1, 3, 300, 300))] == [38, 19]


def test_fully_connected_layers_become_sparse_convolutions() -> None:
    """Against a loop over the kept units and taps."""
    sizes = {"head.fc6.weight": (4096, 512 * 49), "head.fc7.weight": (4096, 4096)}
    state = {
        key: torch.arange(rows * columns, dtype=torch.int32).view(rows, columns)
        for key, (rows, columns) in sizes.items()
    }
    state |= {"head.fc6.bias": torch.arange(4096), "head.fc7.bias": torch.arange(4096)}
    state["backbone.conv1_1.conv.bias"] = torch.arange(64.0)
    found = convolved(state)
    assert found["fc6.conv.weight"].shape == (1024, 512, 3, 3)
    assert found["fc7.conv.weight"].shape == (1024, 1024, 1, 1)
    for unit, channel, row, column in ((0, 0, 0, 0), (1, 2, 1, 2), (1023, 511, 2, 2), (500, 7, 0, 1)):
        tap = channel * 49 + 3 * row * 7 + 3 * column
        assert found["fc6.conv.weight"][unit, channel, row, column] == state["head.fc6.weight"][4 * unit, tap]
        assert found["fc7.conv.weight"][unit, channel, 0, 0] == state["head.fc7.weight"][4 * unit, 4 * channel]
        assert found["fc6.conv.bias"][unit] == state["head.fc6.bias"][4 * unit]
    assert torch.equal(found["conv1_1.conv.bias"], torch.arange(64.0))
    with torch.device("meta"):
        assert convolved(create_model("vgg16").state_dict()).keys() == vgg16_ssd().state_dict().keys()
