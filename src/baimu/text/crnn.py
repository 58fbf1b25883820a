"""CRNN: a line of text read as a sequence, by convolutions, a bidirectional LSTM and CTC.

Baoguang Shi, Xiang Bai, Cong Yao, "An End-to-End Trainable Neural Network for Image-based Sequence Recognition and Its
Application to Scene Text Recognition", TPAMI 2017, arXiv 1507.05717.

Convolutions turn a line of any width into a sequence of columns, two bidirectional LSTMs let each column know its
context, and a linear layer says of each column which character it shows, or none (the blank). Nobody marks where
a character lies: the loss sums over all ways to write the text into the columns, repeating characters and putting
blanks between them (:func:`~baimu.losses.ctc.ctc_loss`). What is read: :mod:`baimu.text.decoding`.

B lines, H x W pixels of a line (H is 32), T columns, K characters, L characters of the longest text.

=====================================  ===========================================================================
paper                                  here
=====================================  ===========================================================================
lines stretched to 100 x 32            lines keep their proportions; a batch is padded at the right, where nothing
                                       that is computed depends on it
36 classes, letters without case       the characters of the data, or those the model is built with; texts of one
                                       case are read without case (:mod:`baimu.datasets.lines`)
lexicon: a BK-tree around the          lexicon and language model in one prefix beam search
reading without one (§2.3.2)           (:mod:`baimu.text.decoding`)
the blank is class 0 (the code's)      the blank is the last class
ADADELTA, rho 0.9                      the same for 200,000 lines and more; for fewer AdamW, see the training task
=====================================  ===========================================================================

Published (the authors', VGG features, trained on Synth90k, without a lexicon): word accuracy 78.2 on IIIT5K, 80.8 on
SVT, 89.4 on IC03, 86.7 on IC13.
"""

from __future__ import annotations

import string
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baimu.layers import shortcuts
from baimu.layers.conv import init_fan_out
from baimu.layers.ragged import BiLSTM
from baimu.losses.ctc import ctc_loss
from baimu.preprocess import Preprocess
from baimu.recipes import Recipe
from baimu.targets import TextTargets
from baimu.text.line_features import HEIGHT, ResNetFeatures, VGGFeatures, columns_of
from baimu.zoo import model

ALPHANUMERIC = tuple(string.digits + string.ascii_lowercase)
"""The paper's 36 characters, in the order of its code."""

LINES = Preprocess(
    mean=(127.5,),
    std=(127.5,),
    channel_order="grey",
    resize="height",
    size=HEIGHT,
    max_size=2048,
    pad_to=4,
)
"""Grey in −1…1, 32 pixels high, as wide as that makes it; a line longer than 2,048 pixels is squeezed."""


class Columns(NamedTuple):
    """What a network says of the columns of lines."""

    log_p: Float[Tensor, "b t k1"]  # log probabilities of the characters, the blank's last
    steps: Int[Tensor, " b"]  # columns that each line has


class CRNN(nn.Module):
    """``features`` (lines → columns of ``features.channels``), two bidirectional LSTMs of ``hidden`` units a direction.

    ``classes`` are the characters; output K is the blank, so that there are ``num_classes + 1``. With ``deep_head``
    another linear layer follows that of the second LSTM, as in the networks of Baek et al. (1904.01906).
    """

    task = "text_recognition"
    height = HEIGHT
    spec: tuple[str, dict[str, Any]] | None = None  # set by create_model

    def __init__(
        self,
        features: VGGFeatures | ResNetFeatures,
        *,
        num_classes: int = 36,
        hidden: int = 256,
        deep_head: bool = False,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes, the characters, must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.classes: tuple[str, ...] = (
            ALPHANUMERIC if num_classes == len(ALPHANUMERIC) else tuple(f"class {i}" for i in range(num_classes))
        )
        self.preprocess: Preprocess = LINES
        self.features = features
        self.context = BiLSTM(features.channels, hidden, hidden)
        self.head = BiLSTM(hidden, hidden, hidden if deep_head else num_classes + 1)
        self.classify = nn.Linear(hidden, num_classes + 1) if deep_head else nn.Identity()
        init_fan_out(self.features)

    def forward(
        self, images: Float[Tensor, "b 1 32 w"], sizes: Int[Tensor, "b 2"] | None = None
    ) -> Float[Tensor, "b t k1"]:
        """Normalised lines, of which ``sizes`` are valid (None: all), to logits of their columns.

        A line of w valid pixels has w // 4 + 1 columns (:meth:`steps`); those beyond mean nothing.
        """
        widths = None if sizes is None else sizes[:, 1]
        steps = None if widths is None else columns_of(widths)
        columns = self.features(images, widths).transpose(1, 2)
        return self.classify(self.head(self.context(columns, steps), steps))

    columns_of = staticmethod(columns_of)
    """T, the columns that lines of these widths in pixels have."""

    def steps(self, logits: Float[Tensor, "b t k1"], sizes: Int[Tensor, "b 2"] | None = None) -> Int[Tensor, " b"]:
        """How many of the columns each line has."""
        if sizes is None:
            return torch.full((logits.shape[0],), logits.shape[1], device=logits.device)
        return columns_of(sizes[:, 1])

    def loss(self, logits: Float[Tensor, "b t k1"], targets: TextTargets) -> dict[str, Tensor]:
        """The mean over lines of ``−log p(text | line)`` (Eq. 6), float32; a line too narrow for its text counts as 0.

        The authors' code divides likewise by lines; torch's ``CTCLoss`` also divides each by its characters.
        """
        losses = ctc_loss(logits.float().log_softmax(2), targets.labels, self.steps(logits, targets.sizes))
        return {"ctc": losses.masked_fill(losses.isinf(), 0.0).mean()}

    def losses(self, images: Float[Tensor, "b 1 32 w"], targets: TextTargets) -> dict[str, Tensor]:
        """One training pass over normalised lines."""
        return self.loss(self(images, targets.sizes), targets)

    @torch.no_grad()
    def read(self, images: Float[Tensor, "b 1 32 w"], sizes: Int[Tensor, "b 2"] | None = None) -> Columns:
        """What each column of normalised lines shows; :mod:`baimu.text.decoding` makes texts of it."""
        logits = self(images, sizes)
        return Columns(logits.float().log_softmax(2), self.steps(logits, sizes))

    predict = shortcuts.predict
    optimize = shortcuts.optimize


PAPER = Recipe(
    epochs=25,
    batch_size=64,
    optimizer="adadelta",
    lr=1.0,
    lr_batch_size=None,
    square_momentum=0.9,
    weight_decay=0.0,
    schedule="constant",
    warmup_steps=0,
    resize="height",
    size=HEIGHT,
    max_size=2048,
    flip=0.0,
)
"""ADADELTA with rho 0.9 (§3.2); length and batch are the code's, for 7.2 million drawn words."""


@model(
    "crnn",
    task="text_recognition",
    paper="1507.05717",
    recipe=PAPER,
    reported={"iiit5k": 78.2, "svt": 80.8, "ic03": 89.4, "ic13": 86.7},
)
def crnn(num_classes: int = 36, *, hidden: int = 256) -> CRNN:
    """CRNN with the paper's VGG features: 8.3 M parameters."""
    return CRNN(VGGFeatures(), num_classes=num_classes, hidden=hidden)


@model("crnn_resnet", task="text_recognition", paper="1507.05717", recipe=PAPER)
def crnn_resnet(num_classes: int = 36, *, hidden: int = 256) -> CRNN:
    """CRNN with the residual features of FAN (1709.02054), as Baek et al. build it (1904.01906): 47.2 M parameters."""
    return CRNN(ResNetFeatures(), num_classes=num_classes, hidden=hidden, deep_head=True)
