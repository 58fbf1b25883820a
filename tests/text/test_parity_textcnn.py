"""TextCNN computes what Shawn1993/cnn-text-classification-pytorch does: narrow windows, no norm."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from baimu.targets import ClassTargets
from baimu.text.textcnn import TextCNN
from tests.text.golden import Reference


def test_logits_loss_and_gradients(shared: Path) -> None:
    reference = Reference(shared / "goldens/textcnn/textcnn.npz")
    model = TextCNN(num_classes=3, vocabulary=50, dim=128, max_norm=None, wide=False).eval()
    state = reference.state()
    ours: dict[str, Tensor] = {"learned.weight": state["embed.weight"]}
    for i in range(3):
        ours[f"convs.{i}.weight"] = state[f"convs.{i}.weight"].squeeze(1).transpose(1, 2)
        ours[f"convs.{i}.bias"] = state[f"convs.{i}.bias"]
    ours |= {"classify.weight": state["fc1.weight"], "classify.bias": state["fc1.bias"]}
    model.load_state_dict(ours)
    i, j = torch.arange(4)[:, None], torch.arange(20)[None]
    words = (7 * i + 3 * j**2 + 1) % 50
    words[2, 12:] = 0
    logits = model(words)
    reference.assert_close("eval/logits", logits)
    loss = model.loss(logits, ClassTargets(torch.eye(3)[[0, 1, 2, 1]]))["class"]
    assert loss.item() == pytest.approx(reference.values["loss/cross_entropy"], rel=1e-6)
    loss.backward()
    names = {"learned": "embed", "classify": "fc1"}
    norms = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        first, _, rest = name.partition(".")
        norms[f"{names.get(first, first)}.{rest}"] = parameter.grad.double().norm().item()
    reference.assert_gradients("cross_entropy", norms, 1e-5)
    assert model.learned is not None
    grad = model.learned.weight.grad
    assert grad is not None
    reference.assert_close("grad/embed", grad[:8])
