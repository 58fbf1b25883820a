"""Files of Darknet: read in the order of its cfg, written back bit for bit, refused where they do not fit."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.darknet import CSPStage, Darknet, DarkStage, PlainStage
from baimu.classification.classifier import Classifier
from baimu.errors import CheckpointError
from baimu.layers.norm import frozen_batch_norm
from baimu.weights.checkpoint import load
from baimu.weights.darknet import read_darknet, write_darknet
from baimu.zoo import create_model
from tests.layers.test_norm import noise

CLASSES = 3
DEPTHS = {"dark": (1, 2, 1, 1, 1), "csp": (1, 2, 1, 1, 1), "plain": (1, 3, 1, 1, 1)}
Layer = tuple[str, tuple[int, ...]]


def conv(filters: int, size: int, stride: int = 1) -> Layer:
    return "convolutional", (filters, size, stride)


def dark(filters: int, blocks: int) -> Iterator[Layer]:
    """A stage of darknet53.cfg."""
    yield conv(filters, 3, 2)
    for _ in range(blocks):
        yield from (conv(filters // 2, 1), conv(filters, 3), ("shortcut", (-3,)))


def csp(filters: int, blocks: int) -> Iterator[Layer]:
    """A stage of csdarknet53-omega.cfg: the way past, then the way through, which come together in the other order."""
    half = filters if filters == 64 else filters // 2
    yield from (conv(filters, 3, 2), conv(half, 1), ("route", (-2,)), conv(half, 1))
    for _ in range(blocks):
        yield from (conv(filters // 2, 1), conv(half, 3), ("shortcut", (-3,)))
    yield from (conv(half, 1), ("route", (-1, -4 - 3 * blocks)), conv(filters, 1))


def plain(filters: int, convolutions: int) -> Iterator[Layer]:
    """A stage of darknet19.cfg."""
    yield "maxpool", ()
    for i in range(convolutions):
        yield conv(filters // 2, 1) if i % 2 else conv(filters, 3)


CFGS = {"dark": (dark, DarkStage), "csp": (csp, CSPStage), "plain": (plain, PlainStage)}


def cfg(kind: str) -> list[Layer]:
    stage = CFGS[kind][0]
    stages = (layer for i, blocks in enumerate(DEPTHS[kind]) for layer in stage(64 * 2**i, blocks))
    return [conv(32, 3), *stages, ("avgpool", ()), ("linear", (CLASSES,))]


def darknet(layers: list[Layer], images: Tensor) -> tuple[Tensor, bytes]:
    """Darknet's own pass with numbers drawn as they are needed: the logits, and the file of these numbers."""
    random = np.random.RandomState(0)
    drawn: list[np.ndarray] = []
    outputs: list[Tensor] = []

    def draw(*shape: int, low: float = -1, high: float = 1) -> Tensor:
        drawn.append(random.uniform(low, high, shape).astype("<f4"))
        return torch.from_numpy(drawn[-1].astype(np.float32))

    x = images
    for kind, numbers in layers:
        if kind == "convolutional":
            filters, size, stride = numbers
            beta, gamma = draw(filters), draw(filters, low=0.5)
            mean, variance = draw(filters), draw(filters, low=0.1)
            fan_in = x.shape[1] * size**2
            kernel = draw(filters, x.shape[1], size, size, low=-((6 / fan_in) ** 0.5), high=(6 / fan_in) ** 0.5)
            x = F.conv2d(x, kernel, None, stride, size // 2)
            x = F.leaky_relu(F.batch_norm(x, mean, variance, gamma, beta), 0.1)
        elif kind == "linear":
            bias = draw(*numbers)
            x = F.conv2d(x, draw(*numbers, x.shape[1], 1, 1), bias)
        elif kind == "shortcut":
            x = x + outputs[numbers[0]]
        elif kind == "route":
            x = torch.cat([outputs[i] for i in numbers], 1)
        elif kind == "maxpool":
            x = F.max_pool2d(x, 2)
        else:
            x = x.mean((2, 3), keepdim=True)
        outputs.append(x)
    return x.flatten(1), b"".join(values.tobytes() for values in drawn)


def network(kind: str, **options: Any) -> Classifier:
    return Classifier(Darknet(CFGS[kind][1], DEPTHS[kind], **options), num_classes=CLASSES).eval()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the plain network, version 0.2.5, after 640 images."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("darknet") / "own.weights"
    write_darknet(path, network("plain"), seen=640)
    return path


@torch.no_grad()
@pytest.mark.parametrize("kind", CFGS)
def test_a_file_gives_the_logits_of_darknets_own_pass(tmp_path: Path, kind: str) -> None:
    images = noise(2, 3, 64, 64)
    expected, numbers = darknet(cfg(kind), images)
    path = tmp_path / "own.weights"
    path.write_bytes(struct.pack("<3iq", 0, 2, 0, 12_800_000_000) + numbers)
    model = network(kind)
    found = read_darknet(path, model)
    assert (found.version, found.seen) == ((0, 2, 0), 12_800_000_000)
    model.load_state_dict(found.state)
    torch.testing.assert_close(model(images), expected, atol=1e-4, rtol=1e-4)


def test_what_is_written_comes_back_bit_for_bit(written: Path, tmp_path: Path) -> None:
    with torch.device("meta"):
        like = network("plain")
    found = read_darknet(written, like)
    assert (found.version, found.seen) == ((0, 2, 5), 640)
    assert {k: v.shape for k, v in found.state.items()} == {k: v.shape for k, v in like.state_dict().items()}
    model = network("plain")
    model.load_state_dict(found.state)
    write_darknet(tmp_path / "again.weights", model, seen=640)
    assert (tmp_path / "again.weights").read_bytes() == written.read_bytes()
    frozen = network("plain", norm=frozen_batch_norm)
    again = read_darknet(written, frozen).state
    assert all(torch.equal(again[key], value) for key, value in found.state.items())


def test_a_header_before_version_0_2_counts_images_in_32_bits(written: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.weights"
    old.write_bytes(struct.pack("<4i", 0, 1, 0, 640) + written.read_bytes()[20:])
    found, expected = read_darknet(old, network("plain")), read_darknet(written, network("plain"))
    assert (found.version, found.seen) == ((0, 1, 0), 640)
    assert all(torch.equal(found.state[key], value) for key, value in expected.state.items())


def test_the_front_of_a_longer_file_is_its_backbone(written: Path) -> None:
    model = network("plain")
    with pytest.raises(CheckpointError, match=r"own\.weights: holds .* it is of a larger network.*whole=False"):
        read_darknet(written, model.backbone)
    front, everything = read_darknet(written, model.backbone, whole=False).state, read_darknet(written, model).state
    assert all(torch.equal(everything[f"backbone.{key}"], value) for key, value in front.items())
    model.backbone.load_state_dict(front)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-400], r"holds .* it ends inside head\.linear\.weight\. It is cut off"),
        (lambda data: data[:2000], r"ends inside backbone\.stem\.conv\.weight"),
        (lambda data: data[:-2], r"ends inside a number \(2 bytes too many or 2 too few\); download it again"),
        (lambda data: data + bytes(4), "it is of a larger network"),
        (lambda data: data[:15], "15 bytes have no room for a header"),
        (lambda data: b"", "0 bytes have no room"),
        (lambda data: b"<!DOCTYPE html>" + data[15:], "it begins with 3c 21 44 4f 43 54 59 50, not with a version"),
        (
            lambda data: data[:20] + struct.pack("<f", -1) * 512 + data[2068:],
            "cannot be .*running_var: it is of",
        ),
        (lambda data: data[:24] + struct.pack("<f", np.nan) + data[28:], r"cannot be backbone\.stem\.norm\.bias"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    written: Path, tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "other.weights"
    path.write_bytes(change(written.read_bytes()))
    with pytest.raises(CheckpointError, match=rf"other\.weights: .*{message}"):
        read_darknet(path, network("plain"))
    with pytest.raises(CheckpointError, match=r"none\.weights: cannot be read"):
        read_darknet(tmp_path / "none.weights", network("plain"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU()), "no convolution without bias and batch norm"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(8)), "1: a batch norm of other channels than 0"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), "1: Darknet's files have no place for GroupNorm"),
        (network("plain", norm=lambda channels: nn.GroupNorm(1, channels)), "no convolution without bias and batch"),
    ],
)
def test_networks_that_darknet_cannot_write_are_refused(tmp_path: Path, model: nn.Module, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        write_darknet(tmp_path / "own.weights", model)
    assert not (tmp_path / "own.weights").exists()


def test_load_reads_a_file_for_the_network_that_is_named(tmp_path: Path) -> None:
    model = create_model("cspdarknet53", num_classes=3)
    path = tmp_path / "own.weights"
    write_darknet(path, model)
    with pytest.warns(UserWarning, match="how images were normalised"):
        loaded = load(path, as_="cspdarknet53", classes=["cat", "dog", "owl"])
    assert loaded.classes == ("cat", "dog", "owl")
    own = model.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in loaded.state_dict().items())
    with pytest.raises(CheckpointError, match=r"does not say of which network.*as_='darknet53'"):
        load(path)
