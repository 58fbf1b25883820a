"""CRNN computes what meijieru/crnn.pytorch does; its residual features and LSTMs what clovaai's benchmark does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import baimu
from baimu.losses.ctc import ctc_loss
from baimu.targets import TextTargets
from baimu.text.crnn import ALPHANUMERIC, CRNN, LINES, crnn, crnn_resnet
from baimu.text.decoding import greedy
from baimu.weights.crnn import CRNN as ROUTE
from baimu.weights.crnn import RESNET
from baimu.weights.keys import convert, convert_back
from tests.text.golden import Reference, line


@pytest.fixture(scope="module")
def reference(shared: Path) -> Reference:
    return Reference(shared / "goldens/crnn/crnn.npz")


@pytest.fixture(scope="module")
def model(reference: Reference) -> CRNN:
    model = crnn()
    model.load_state_dict(convert(reference.state(), model, ROUTE), strict=False)
    return model.eval()


def texts(reference: Reference) -> TextTargets:
    """Their characters are numbered from 1, in one row after the other."""
    ids, lengths = reference.values["encode/text"], reference.values["encode/length"]
    rows = [ids[sum(lengths[:i]) : sum(lengths[: i + 1])] for i in range(len(lengths))]
    return TextTargets.collate([[i - 1 for i in row] for row in rows], [(32, 100)] * len(rows))


def test_features_and_logits(model: CRNN, reference: Reference) -> None:
    with torch.no_grad():
        reference.assert_close("eval/cnn", model.features(line()).unsqueeze(2))
        logits = model(line())
    theirs = torch.roll(logits, 1, 2).transpose(0, 1)  # their blank comes first
    reference.assert_close("eval/logits", theirs, 2e-5)  # 1e-5 between instruction sets


def test_valid_widths_of_whole_lines_change_nothing(model: CRNN) -> None:
    with torch.no_grad():
        torch.testing.assert_close(model(line(), torch.tensor([[32, 100]] * 2)), model(line()))


def test_greedy_reading(model: CRNN, reference: Reference) -> None:
    read = model.read(line())
    found = ["".join(model.classes[i] for i in labels) for labels, _ in greedy(*read)]
    assert found == reference.values["decode/text"]


def test_loss_three_ways(model: CRNN, reference: Reference) -> None:
    targets, values = texts(reference), reference.values
    read = model.read(line())
    each = ctc_loss(read.log_p, targets.labels, read.steps)
    assert each.tolist() == pytest.approx(values["loss/ctc_none"], rel=1e-5)
    assert each.sum().item() == pytest.approx(values["loss/ctc_sum"], rel=1e-5)
    lengths = (targets.labels >= 0).sum(1)
    assert (each / lengths).mean().item() == pytest.approx(values["loss/ctc_mean"], rel=1e-5)
    with torch.no_grad():
        assert model.losses(line(), targets)["ctc"].item() == pytest.approx(each.mean().item(), rel=1e-6)


def test_gradients(model: CRNN, reference: Reference) -> None:
    targets = texts(reference)
    logits = model(line())
    each = ctc_loss(logits.log_softmax(2), targets.labels, model.steps(logits))
    model.zero_grad()
    (each / (targets.labels >= 0).sum(1)).mean().backward()
    grads: dict[str, Any] = {name: p.grad for name, p in model.named_parameters()}
    theirs = convert_back(grads, ROUTE)
    reference.assert_gradients("ctc_mean", {name: grad.double().norm().item() for name, grad in theirs.items()})


def test_the_table_leads_back(model: CRNN, reference: Reference) -> None:
    state = convert_back(model.state_dict(), ROUTE)
    expected = reference.state()
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(state[name], tensor.to(state[name].dtype), msg=name)


def test_the_authors_file_is_recognised(reference: Reference, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = tmp_path / "crnn.pth"
    torch.save({f"module.{name}": value for name, value in reference.state().items()}, path)
    model = baimu.load(path)
    assert isinstance(model, CRNN)
    assert (model.classes, model.preprocess) == (ALPHANUMERIC, LINES)
    with torch.no_grad():
        reference.assert_close("eval/logits", torch.roll(model(line()), 1, 2).transpose(0, 1), 2e-5)
    assert not recwarn.list


def test_residual_features_and_lstms(shared: Path) -> None:
    reference = Reference(shared / "goldens/crnn/text_resnet_bilstm_attn.npz")
    model = crnn_resnet(37).eval()
    state = {f"FeatureExtraction.{name}": value for name, value in reference.state("resnet").items()}
    state |= {f"SequenceModeling.{name}": value for name, value in reference.state("bilstm").items()}
    state |= {"Prediction.weight": torch.zeros(38, 256), "Prediction.bias": torch.arange(38.0)}
    model.load_state_dict(convert(state, model, RESNET), strict=False)
    with torch.no_grad():
        columns = model.features(line())
        reference.assert_close("eval/resnet", columns.unsqueeze(2))
        reference.assert_close("eval/bilstm", model.head(model.context(columns.transpose(1, 2))))
    assert model.classify.bias.tolist() == [*range(1, 38), 0]
