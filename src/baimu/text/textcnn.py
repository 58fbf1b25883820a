"""TextCNN: a text told by the strongest n-grams that a convolution over its word vectors finds.

Yoon Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014, arXiv 1408.5882.

Every word is a vector; a filter looks at a few neighbouring words at a time, and of each filter only its strongest
answer in the whole text counts. A hundred filters for each of three window sizes, dropout and one linear layer, whose
weights may not grow beyond a norm of 3 a class, are all. The vectors come from elsewhere (word2vec) and stay as they
are (static), are trained further (non-static), or both in two channels (multichannel); without vectors they are drawn.

B texts, T words, D dimensions of a vector, F filters of a window, K classes.

======================================  =========================================================================
paper (and the authors' code)           here
======================================  =========================================================================
all texts padded to the longest, with   every text meets exactly one window of nothing but padding at each end, so
4 zeros around                          that its answer does not depend on its neighbours in the batch; the same
                                        but for the longest text, which has none there for windows of 5 words
words of all data have a vector         words that occur twice in training, or have a given one; others share one
words without a vector: uniform in      the same
±0.25
======================================  =========================================================================

Published (the author's, ten-fold cross-validation on MR): 76.1 random, 81.0 static, 81.5 non-static, 81.1 multichannel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from baimu.errors import unknown
from baimu.layers import shortcuts
from baimu.losses.classification import soft_cross_entropy_loss
from baimu.recipes import Recipe
from baimu.targets import ClassTargets
from baimu.words import PADDING, TextPreprocess
from baimu.zoo import model

Vectors = Literal["learned", "static", "both"]
"""Of the words: trained with the network; as they were given; a channel of each."""

DRAWN = 0.25
"""Vectors that nobody gave are uniform in ± this, of about the variance of word2vec's."""


class TextCNN(nn.Module):
    """Filters of ``windows`` words, ``filters`` of each, over vectors of ``dim`` numbers.

    ``vocabulary``: numbers that words have, those of padding (0) and of unknown words (1) included. ``wide``: windows
    may lie partly beyond a text, as in the paper; without, a text needs as many words as the widest has.
    ``max_norm``: of the weights of a class in the last layer; None: any.
    """

    task = "text_classification"
    spec: tuple[str, dict[str, Any]] | None = None  # set by create_model
    multi_label = False

    def __init__(
        self,
        *,
        num_classes: int = 2,
        vocabulary: int = 20_000,
        dim: int = 300,
        vectors: Vectors = "learned",
        windows: Sequence[int] = (3, 4, 5),
        filters: int = 100,
        dropout: float = 0.5,
        max_norm: float | None = 3.0,
        wide: bool = True,
    ) -> None:
        super().__init__()
        if vectors not in ("learned", "static", "both"):
            raise unknown("kind of vectors", vectors, ("learned", "static", "both"))
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.classes: tuple[str, ...] = tuple(f"class {i}" for i in range(num_classes))
        self.preprocess = TextPreprocess()
        self.vectors, self.vocabulary = vectors, vocabulary
        self.dropout, self.max_norm = dropout, max_norm
        self.static = None if vectors == "learned" else nn.Embedding(vocabulary, dim, PADDING)
        self.learned = None if vectors == "static" else nn.Embedding(vocabulary, dim, PADDING)
        convs = [nn.Conv1d(dim, filters, window, padding=window * wide) for window in windows]
        self.convs = nn.ModuleList(convs)
        self.classify = nn.Linear(filters * len(windows), num_classes)
        self.draw_vectors()
        for conv in convs:
            nn.init.uniform_(conv.weight, -0.01, 0.01)  # as the author's code draws filters before a ReLU
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
        nn.init.zeros_(self.classify.weight)  # likewise: all classes are equal at first
        nn.init.zeros_(self.classify.bias)

    def draw_vectors(self) -> None:
        """Random vectors for all words, the same in both channels; padding is zero. Static ones do not learn."""
        for embedding in self._embeddings():
            nn.init.uniform_(embedding.weight, -DRAWN, DRAWN)
            nn.init.zeros_(embedding.weight[PADDING])
        if self.static is not None:
            self.static.weight.requires_grad_(False)
            if self.learned is not None:
                with torch.no_grad():
                    self.learned.weight.copy_(self.static.weight)

    @torch.no_grad()
    def give_vectors(self, numbers: Int[Tensor, " n"], vectors: Float[Tensor, "n d"]) -> None:
        """Vectors for the words of these ``numbers``, in each channel; the others stay as they are."""
        for embedding in self._embeddings():
            embedding.weight[numbers] = vectors.to(embedding.weight)

    def _embeddings(self) -> list[nn.Embedding]:
        return [embedding for embedding in (self.static, self.learned) if embedding is not None]

    def forward(self, words: Int[Tensor, "b t"]) -> Float[Tensor, "b k"]:
        """Numbers of words, 0 behind the end of a text, to logits. A filter's answers in both channels are added."""
        maps, *others = (embedding(words).transpose(1, 2) for embedding in self._embeddings())
        for other in others:
            maps = maps + other
        strongest = [F.relu(conv(maps)).amax(2) for conv in self.convs]
        return self.classify(F.dropout(torch.cat(strongest, 1), self.dropout, self.training))

    def loss(self, logits: Float[Tensor, "b k"], targets: ClassTargets) -> dict[str, Tensor]:
        """The mean cross entropy, float32."""
        return {"class": soft_cross_entropy_loss(logits, targets.shares).mean()}

    def losses(self, words: Int[Tensor, "b t"], targets: ClassTargets) -> dict[str, Tensor]:
        """One training pass."""
        return self.loss(self(words), targets)

    @torch.no_grad()
    def after_step(self) -> None:
        """Weights of a class beyond ``max_norm`` are scaled back to it (§2.1); called by the engine after each step."""
        if self.max_norm is not None:
            weight = self.classify.weight
            weight.mul_((self.max_norm / weight.norm(dim=1, keepdim=True).clamp(min=1e-7)).clamp(max=1.0))

    @torch.no_grad()
    def tell(self, words: Int[Tensor, "b t"]) -> Float[Tensor, "b k"]:
        """Probabilities, whose sum is 1."""
        return self(words).float().softmax(1)

    predict = shortcuts.predict


PAPER = Recipe(
    epochs=25,
    batch_size=50,
    optimizer="adadelta",
    lr=1.0,
    lr_batch_size=None,
    weight_decay=0.0,
    schedule="constant",
    warmup_steps=0,
    flip=0.0,
    workers=0,
)
"""25 epochs of batches of 50, ADADELTA with rho 0.95 (the author's code); the best epoch on held-out texts counts."""


@model("textcnn", task="text_classification", paper="1408.5882", recipe=PAPER, reported={"mr": 81.5})
def textcnn(num_classes: int = 2, *, vocabulary: int = 20_000, dim: int = 300, **options: Any) -> TextCNN:
    """CNN-non-static with vectors to start from, else CNN-rand: 6.4 M parameters, of which 0.4 M are not vectors."""
    return TextCNN(num_classes=num_classes, vocabulary=vocabulary, dim=dim, **options)


@model("textcnn_static", task="text_classification", paper="1408.5882", recipe=PAPER, reported={"mr": 81.0})
def textcnn_static(num_classes: int = 2, *, vocabulary: int = 20_000, dim: int = 300, **options: Any) -> TextCNN:
    """CNN-static: the given vectors stay as they are."""
    return TextCNN(num_classes=num_classes, vocabulary=vocabulary, dim=dim, vectors="static", **options)


@model("textcnn_multichannel", task="text_classification", paper="1408.5882", recipe=PAPER, reported={"mr": 81.1})
def textcnn_multichannel(num_classes: int = 2, *, vocabulary: int = 20_000, dim: int = 300, **options: Any) -> TextCNN:
    """CNN-multichannel: the given vectors in two channels, of which one learns."""
    return TextCNN(num_classes=num_classes, vocabulary=vocabulary, dim=dim, vectors="both", **options)
