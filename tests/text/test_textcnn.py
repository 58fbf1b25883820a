"""TextCNN against loops over windows, and the rules of its vectors and weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baimu.errors import UnknownNameError
from baimu.targets import ClassTargets
from baimu.text.textcnn import DRAWN, TextCNN
from baimu.zoo import create_model

TEXTS = torch.tensor([[5, 3, 9, 2, 7, 4], [8, 6, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0]])


def make(**options) -> TextCNN:
    torch.manual_seed(0)
    model = TextCNN(**{"num_classes": 3, "vocabulary": 10, "dim": 4, "filters": 5, **options}).eval()
    with torch.no_grad():
        for parameter in (*model.convs.parameters(), *model.classify.parameters()):
            parameter.normal_()
    return model


def looped(model: TextCNN, words: Tensor) -> Tensor:
    """Every filter on every window of one text, one after the other."""
    vectors = sum(embedding.weight[words] for embedding in (model.static, model.learned) if embedding is not None)
    assert isinstance(vectors, Tensor)
    strongest = []
    for conv in model.convs:
        width = conv.kernel_size[0]
        around = torch.zeros(width, vectors.shape[1])
        padded = torch.cat([around, vectors, around])
        for number in range(conv.out_channels):
            answers = [
                (conv.weight[number] * padded[start : start + width].T).sum() + conv.bias[number]
                for start in range(len(padded) - width + 1)
            ]
            strongest.append(torch.stack(answers).max().clamp(min=0))
    return model.classify.weight @ torch.stack(strongest) + model.classify.bias


@pytest.mark.parametrize("vectors", ["learned", "static", "both"])
def test_equals_a_loop_over_windows(vectors: str) -> None:
    model = make(vectors=vectors)
    with torch.no_grad():
        found = model(TEXTS)
        for row, words in zip(found, TEXTS, strict=True):
            torch.testing.assert_close(row, looped(model, words[words > 0]), rtol=1e-4, atol=1e-5)


def test_a_text_is_told_alike_alone_and_among_longer_ones() -> None:
    model = make()
    with torch.no_grad():
        torch.testing.assert_close(model(TEXTS)[2:], model(TEXTS[2:, :1]))
        torch.testing.assert_close(model(TEXTS)[1:2], model(TEXTS[1:2, :2]))


def test_weights_of_a_class_keep_within_the_norm() -> None:
    model = make(max_norm=3.0)
    with torch.no_grad():
        model.classify.weight[0] *= 100 / model.classify.weight[0].norm()
        model.classify.weight[1] *= 2 / model.classify.weight[1].norm()
        model.classify.weight[2] = 0
    before = model.classify.weight.detach().clone()
    model.after_step()
    after = model.classify.weight
    assert after[0].norm().item() == pytest.approx(3, rel=1e-5)
    torch.testing.assert_close(after[0] / after[0].norm(), before[0] / before[0].norm())
    torch.testing.assert_close(after[1:], before[1:])
    free = make(max_norm=None)
    with torch.no_grad():
        free.classify.weight.fill_(100)
    free.after_step()
    assert bool((free.classify.weight == 100).all())


def test_given_vectors_and_drawn_ones() -> None:
    model = TextCNN(vocabulary=10, dim=4, vectors="both")
    assert model.static is not None
    assert model.learned is not None
    assert torch.equal(model.static.weight, model.learned.weight)
    assert float(model.static.weight.abs().max()) <= DRAWN
    assert not model.static.weight[0].any()
    drawn = model.static.weight.detach().clone()
    model.give_vectors(torch.tensor([3, 7]), torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]]))
    for embedding in (model.static, model.learned):
        assert embedding.weight[[3, 7]].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
        assert torch.equal(embedding.weight[[1, 2, 4]], drawn[[1, 2, 4]])


def test_only_the_channel_that_learns_does() -> None:
    model = make(vectors="both").train()
    targets = ClassTargets(torch.eye(3))
    model.losses(TEXTS, targets)["class"].backward()
    assert model.static is not None
    assert model.learned is not None
    assert not model.static.weight.requires_grad
    grad = model.learned.weight.grad
    assert grad is not None
    assert not grad[0].any()  # padding
    assert {int(i) for i in grad.abs().sum(1).nonzero()} <= set(TEXTS.flatten().tolist())


def test_all_classes_are_equal_before_training() -> None:
    torch.manual_seed(0)
    assert torch.equal(create_model("textcnn", vocabulary=20).eval().tell(TEXTS), torch.full((3, 2), 0.5))


def test_refusals() -> None:
    with pytest.raises(UnknownNameError, match="learned"):
        TextCNN(vectors="learnt")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="at least 1"):
        TextCNN(num_classes=0)
