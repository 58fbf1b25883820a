"""Parameters of readers: those of meijieru/crnn.pytorch and of clovaai/deep-text-recognition-benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from baimu.weights.keys import COUNTERS, Facts, KeyTable, Route, Source, State

if TYPE_CHECKING:
    from baimu.weights.stored import Stored


def blank_last(state: State) -> State:
    """Their blank is class 0, ours the last."""
    return {k: torch.roll(v, -1, 0) if _is_last(k) else v for k, v in state.items()}


def blank_first(state: State) -> State:
    """The inverse of :func:`blank_last`."""
    return {k: torch.roll(v, 1, 0) if _is_last(k) else v for k, v in state.items()}


def _is_last(key: str) -> bool:
    return key.startswith(("rnn.1.embedding.", "Prediction."))


def _directions(place: str, ours: str, linear: str) -> KeyTable:
    """torch's bidirectional LSTM and the linear layer behind it."""
    return (
        (rf"^{place}\.rnn\.(weight|bias)_(ih|hh)_l0_reverse$", rf"{ours}.back.\1_\2_l0"),
        (rf"^{place}\.rnn\.", f"{ours}.ahead."),
        (rf"^{place}\.{linear}\.", f"{ours}.linear."),
    )


_NORMS = {"norm": "batchnorm", "conv": "conv"}

CRNN = Route(
    models="crnn",
    table=(
        *(
            (rf"^cnn\.{theirs}{i}\.", f"features.conv{i + 1}.{ours}.")
            for i in range(7)
            for ours, theirs in _NORMS.items()
        ),
        *_directions(r"rnn\.0", "context", "embedding"),
        *_directions(r"rnn\.1", "head", "embedding"),
    ),
    to_ours=blank_last,
    to_theirs=blank_first,
    may_miss=(COUNTERS,),
)

_STEM = (("conv0_1", "bn0_1", "features.stem.0"), ("conv0_2", "bn0_2", "features.stem.1"))
_STAGES = tuple((f"conv{i}", f"bn{i}", f"features.stage{i}.conv") for i in (1, 2, 3))
_LAST = (("conv4_2", "bn4_2", "features.last"),)
_CNN = r"^FeatureExtraction\.ConvNet\."

RESNET = Route(
    models="crnn_resnet",
    table=(
        *((rf"{_CNN}{conv}\.", f"{ours}.conv.") for conv, _, ours in (*_STEM, *_STAGES, *_LAST)),
        *((rf"{_CNN}{norm}\.", f"{ours}.norm.") for _, norm, ours in (*_STEM, *_STAGES, *_LAST)),
        (rf"{_CNN}conv4_1\.", "features.narrow."),
        (rf"{_CNN}bn4_1\.", "features.narrow_norm."),
        *((rf"{_CNN}layer{i}\.", f"features.stage{i}.blocks.") for i in (1, 2, 3)),
        (rf"{_CNN}layer4\.", "features.stage4."),
        *_directions(r"SequenceModeling\.0", "context", "linear"),
        *_directions(r"SequenceModeling\.1", "head", "linear"),
        (r"^Prediction\.", "classify."),
    ),
    to_ours=blank_last,
    to_theirs=blank_first,
    may_miss=(COUNTERS,),
)
"""Of the benchmark's networks None-ResNet-BiLSTM-CTC."""


def describe(stored: Stored) -> Facts:
    """Grey in −1…1; of 37 outputs the characters that both use, digits and small letters."""
    from baimu.text.crnn import ALPHANUMERIC, LINES

    sizes = {tensor.shape[0] for key, tensor in stored.tensors.items() if _is_last(key) and key.endswith("bias")}
    return Facts(classes=ALPHANUMERIC if sizes == {37} else None, preprocess=LINES)


SOURCE = Source(name="crnn", routes=(CRNN, RESNET), describe=describe)
