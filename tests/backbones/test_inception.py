"""GoogLeNet and the Inceptions beyond what every family shows: auxiliary classifiers, the papers' numbers, images as
torchvision wants them, small ones, and what checkpoints hold besides."""

from __future__ import annotations

import itertools

import pytest
import torch
import torchvision
from torch import Tensor, nn

from baimu.backbones.inception import GoogLeNet, InceptionV3, inception_v3
from baimu.backbones.inception_v4 import Correction, InceptionResNetV2, InceptionV4
from baimu.classification.classifier import Classifier
from baimu.errors import CheckpointError
from baimu.preprocess import imagenet
from baimu.targets import ClassTargets
from baimu.weights.families.inception import GOOGLENET, INCEPTION_V3, OPENMMLAB
from baimu.weights.families.inception_v4 import INCEPTION_RESNET_V2
from baimu.weights.keys import convert_back, load_converted, renamed
from baimu.zoo import create_model
from tests.backbones.test_families import close, noise, without_dropout
from tests.parity.observe import Trace
from tests.parity.peers.filled import fill

ROUTES = {"googlenet": GOOGLENET, "inception_v3": INCEPTION_V3}


def theirs_and_ours(name: str, **options: bool) -> tuple[nn.Module, Classifier]:
    """torchvision's network with auxiliary heads, and ours with its parameters."""
    theirs = torchvision.models.get_model(name, weights=None, aux_logits=True, init_weights=False, **options)
    ours = create_model(name)
    assert isinstance(ours, Classifier)
    load_converted(ours, fill(theirs).state_dict(), ROUTES[name])
    return theirs, ours


GRADIENTS = {
    "googlenet": ("conv1.conv.weight", "inception4b.branch2.1.conv.weight", "aux2.fc1.weight", "fc.bias"),
    "inception_v3": ("Mixed_6e.branch7x7dbl_3.conv.weight", "AuxLogits.conv1.conv.weight", "fc.bias"),
}


@pytest.mark.parametrize(("name", "weight", "side"), [("googlenet", 0.3, 64), ("inception_v3", 0.4, 299)])
def test_training_outputs_losses_and_gradients_are_torchvisions(name: str, weight: float, side: int) -> None:
    """299 is the smallest side that torchvision's auxiliary head of v3 takes."""
    theirs, ours = theirs_and_ours(name)
    images, labels = noise(2, side, side), torch.tensor([3, 8])
    for model in (theirs.train(), ours.train()):
        without_dropout(model)
    logits, *others = theirs(images)  # main, [aux2,] aux1
    expected = dict(zip(("aux1", "aux2"), reversed(others), strict=False))
    with Trace(ours, "head", *(f"auxiliary.{head}" for head in expected)) as trace:
        losses = ours.losses(images, ClassTargets(nn.functional.one_hot(labels, 1000).float()))
    close(trace["head"], logits, "logits")
    for head, outputs in expected.items():
        close(trace[f"auxiliary.{head}"], outputs, head)

    entropy = nn.functional.cross_entropy
    assert losses.keys() == {"class", *expected}
    close(losses["class"], entropy(logits, labels), "class")
    for head, outputs in expected.items():
        close(losses[head], weight * entropy(outputs, labels), head)

    total = entropy(logits, labels) + weight * sum(entropy(outputs, labels) for outputs in others)
    mine = renamed(dict.fromkeys(GRADIENTS[name], torch.empty(())), ROUTES[name])
    grads = torch.autograd.grad(total, [theirs.get_parameter(key) for key in GRADIENTS[name]])
    found = torch.autograd.grad(sum(losses.values(), torch.zeros(())), [ours.get_parameter(key) for key in mine])
    for key, grad, other in zip(GRADIENTS[name], found, grads, strict=True):
        close(grad, other, key, 1e-3)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_speak_in_training_losses_alone(name: str) -> None:
    model = create_model(name, num_classes=3, small_images=True)
    assert isinstance(model, Classifier)
    images, targets = noise(2, 28, 28), ClassTargets(torch.eye(3)[:2])
    assert model.train().losses(images, targets).keys() == {"class", *model.auxiliary}
    assert isinstance(model(images), Tensor)
    assert model.eval().losses(images, targets).keys() == {"class"}
    model.reset_classifier(4)
    _, inner = model.backbone.with_inner_maps(images)
    assert [tuple(head(inner[key]).shape) for key, head in model.auxiliary.items()] == [(2, 4)] * len(model.auxiliary)


def test_checkpointing_changes_no_auxiliary_loss() -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = create_model("googlenet", num_classes=3, small_images=True, checkpointing=checkpointing)
        assert isinstance(model, Classifier)
        losses = model.train().losses(noise(2, 28, 28), ClassTargets(torch.eye(3)[:2]))
        losses["aux2"].backward()
        found.append((losses, model.get_parameter("backbone.inception3a.branch2.1.conv.weight").grad))
    (losses, grad), (again, other) = found
    assert all(torch.equal(again[key], value) for key, value in losses.items())
    torch.testing.assert_close(other, grad)


@pytest.mark.parametrize(("name", "count"), [("googlenet", 6_624_904), ("inception_v3", 23_834_568)])
def test_networks_without_auxiliary_heads(name: str, count: int) -> None:
    with torch.device("meta"):
        model, shallow = create_model(name, auxiliary=False), create_model(name, out=(2, 3))
    assert sum(p.numel() for p in model.parameters()) == count
    assert not [key for key in shallow.state_dict() if "auxiliary" in key], "nobody computes the maps that they read"


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_files_and_networks_may_lack_auxiliary_heads(name: str) -> None:
    whole = torchvision.models.get_model(name, weights=None, aux_logits=True, init_weights=False).state_dict()
    bare = {key: value for key, value in whole.items() if not key.lower().startswith("aux")}
    assert len(bare) < len(whole)
    for state in (whole, bare):
        for auxiliary in (True, False):
            with torch.device("meta"):
                model = create_model(name, auxiliary=auxiliary)
            model.to_empty(device="cpu")
            load_converted(model, state, ROUTES[name])
            assert torch.equal(model.get_parameter("head.linear.weight"), whole["fc.weight"])
    with pytest.raises(CheckpointError, match=r"missing: backbone\.conv"):
        load_converted(model, dict(list(bare.items())[6:]), ROUTES[name])


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_preprocessing_does_what_torchvisions_transform_input_does(name: str) -> None:
    theirs, ours = theirs_and_ours(name, transform_input=True)
    pixels = torch.randint(0, 256, (1, 3, 96, 96), generator=torch.Generator().manual_seed(2)).float()
    with torch.no_grad():
        expected = theirs(imagenet.normalize(pixels))
        close(ours.eval()(getattr(ours, "preprocess").normalize(pixels)), expected, "logits")  # noqa: B009


def test_the_papers_5x5_kernels_have_the_papers_parameter_counts() -> None:
    """1409.4842 Table 1, in units of 1024; further down it disagrees with its own widths."""
    with torch.device("meta"):
        paper, torchvisions = GoogLeNet(kernel_5x5=5), GoogLeNet()
    for modules, thousands in (("conv2 conv3", 112), ("inception3a", 159), ("inception3b", 380)):
        parts = [paper.get_submodule(name) for name in modules.split()]
        convs = [m for part in parts for m in part.modules() if isinstance(m, nn.Conv2d)]
        weights_and_biases = sum(conv.weight.numel() + conv.out_channels for conv in convs)
        assert weights_and_biases / 1024 == pytest.approx(thousands, abs=1), modules
    assert paper.get_parameter("inception4c.branch3.1.conv.weight").shape[2:] == (5, 5)
    assert torchvisions.get_parameter("inception4c.branch3.1.conv.weight").shape[2:] == (3, 3)
    with torch.no_grad():
        assert GoogLeNet(kernel_5x5=5, out=(3,))(noise(1, 32, 32))[0].shape == (1, 480, 4, 4)
    with pytest.raises(ValueError, match="kernel_5x5 must be 3"):
        GoogLeNet(kernel_5x5=7)


@pytest.mark.parametrize("family", [InceptionV3, InceptionV4, InceptionResNetV2])
def test_maps_of_unpadded_networks(family: type[InceptionV3 | InceptionV4 | InceptionResNetV2]) -> None:
    """The sizes that all three papers give for 299 pixels, and at least 2 x 2 cells of 28."""
    with torch.device("meta"):
        network, small = family(out=(1, 2, 3, 4, 5)), family(small_images=True)
        maps, small_maps = network(torch.empty(1, 3, 299, 299)), small(torch.empty(1, 3, 28, 28))
    cells = [147, 73 if family is InceptionV4 else 71, 35, 17, 8]
    assert [m.shape[1:] for m in maps] == [(c, n, n) for c, n in zip(network.channels, cells, strict=True)]
    assert network.strides == (2, 4, 8, 16, 32)
    assert small.strides == (1, 2, 4, 8)
    assert small_maps[-1].shape[2:] == (2, 2)


def test_frozen_norms_keep_the_networks_own_eps() -> None:
    from baimu.layers.norm import frozen_batch_norm

    network = inception_v3(norm=frozen_batch_norm, out=(1,))
    assert {getattr(m, "eps") for n, m in network.named_modules() if n.endswith(".norm")} == {1e-3}  # noqa: B009


def test_a_correction_is_scaled_and_may_be_left_away() -> None:
    network = InceptionResNetV2(out=(3,), drop_path=0.5)
    blocks = [m for m in network.modules() if isinstance(m, Correction)]
    rates = [block.drop_path.rate for block in blocks]
    assert rates[0] == 0
    assert all(0 < after - before < 0.02 for before, after in itertools.pairwise(rates))
    block = blocks[0].eval()
    x = noise(1, 320, 4)[:, :1].reshape(1, 320, 2, 2)
    with torch.no_grad():
        expected = torch.relu(x + 0.17 * block.conv2d(block.branches(x)))
        torch.testing.assert_close(block(x), expected)
        block.scale = 0.0
        torch.testing.assert_close(block(x), x.relu())


def test_class_0_of_tensorflow_is_background_and_left_out() -> None:
    with torch.device("meta"):
        model = create_model("inception_resnet_v2")
    state = convert_back(model.state_dict(), INCEPTION_RESNET_V2)
    rows = torch.arange(1001.0)
    state = {k: v for k, v in state.items() if not k.startswith("classif.")}
    state |= {"last_linear.bias": rows, "last_linear.weight": rows[:, None].expand(1001, 1536)}
    found = renamed(state, INCEPTION_RESNET_V2)
    assert torch.equal(found["head.linear.bias"], rows[1:])
    assert found["head.linear.weight"].shape == (1000, 1536)
    assert found.keys() == model.state_dict().keys()


def test_mmpretrain_puts_all_of_it_into_the_backbone() -> None:
    theirs = torchvision.models.inception_v3(weights=None, init_weights=False)
    torchvisions = theirs.state_dict()
    state = {f"backbone.{key}": value for key, value in torchvisions.items()}
    found, expected = renamed(state, OPENMMLAB), renamed(torchvisions, INCEPTION_V3)
    assert found.keys() == expected.keys()
    assert all(found[key] is expected[key] for key in found)
    assert convert_back(found, OPENMMLAB).keys() == state.keys()
