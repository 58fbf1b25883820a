"""Training and scoring models that tell what texts are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from baimu import zoo
from baimu.datasets.batches import Batches
from baimu.datasets.class_batches import shares_of
from baimu.datasets.source import Splits, TextSource
from baimu.datasets.text_batches import eval_text_batches, train_text_batches
from baimu.datasets.texts import LabelledTexts
from baimu.errors import DataError, TrainingError
from baimu.inference.predictor import Precision, Predictor
from baimu.metrics.classification import FIGURES, ClassScores, score
from baimu.metrics.ranking import rank
from baimu.metrics.scores import RECALLS
from baimu.recipes import Recipe
from baimu.training.knowing import check_classes
from baimu.training.share import Share
from baimu.training.text_pictures import draw_text_data, draw_text_results
from baimu.training.together import in_turn, place_of, together
from baimu.weights.word_vectors import read_word_vectors
from baimu.words import FIRST, TextPreprocess, shape_of

LEAST = 2
"""A word that occurs less often in training teaches the vector of unknown words, of which held-out texts have some."""


class TextClassificationTask(Share):
    """The vocabulary is that of the training texts. What decides is macro F1: accuracy hardly sees a rare class."""

    unit = "texts"
    score = "macro_f1"
    score_names = (*FIGURES, "macro_auc")

    @staticmethod
    def opening(model: str | nn.Module) -> dict[str, Any]:
        del model
        return {"kind": "text_classification"}

    @staticmethod
    def fitted(recipe: Recipe, splits: Splits[TextSource], *, scratch: bool) -> Recipe:
        """As published: it is for some thousand texts."""
        del splits, scratch
        return recipe

    @staticmethod
    def make(
        name: str, splits: Splits[TextSource], arguments: Mapping[str, Any], *, scratch: bool
    ) -> tuple[nn.Module, str]:
        """With the vocabulary of the training texts. Two of ``arguments`` are files: ``word_vectors`` to start from
        (word2vec or GloVe), and ``tokenizer``, a ``tokenizer.json`` of Hugging Face to part words by."""
        own = dict(arguments)
        vectors, tokenizer = own.pop("word_vectors", None), own.pop("tokenizer", None)
        if vectors is None:
            preprocess = learned(splits.train, tokenizer)
            model: Any = zoo.create_model(name, **{**_sizes(splits, preprocess), **own})
            if scratch and model.vectors != "learned":
                raise TrainingError(
                    f"{name}: its vectors do not learn, so they must come from somewhere; give a file of word2vec or "
                    f"GloVe, model.word_vectors=FILE, or train textcnn"
                )
            model.preprocess = preprocess
            return model, f"{preprocess.size - FIRST:,} words, their vectors drawn" if scratch else ""
        if tokenizer is not None:
            raise TrainingError("word_vectors and tokenizer: vectors are of words, not of a tokenizer's pieces")
        every = learned(splits.train, least=1).words
        found = read_word_vectors(vectors, list(dict.fromkeys([*every, *map(shape_of, every)])))
        preprocess = learned(splits.train, known=found.words)
        model = zoo.create_model(name, **{**_sizes(splits, preprocess), "dim": found.vectors.shape[1], **own})
        model.preprocess = preprocess
        number = {word: number for number, word in enumerate(preprocess.words, start=FIRST)}
        rows = [row for row, word in enumerate(found.words) if word in number]  # shapes of known words are left over
        model.give_vectors(torch.tensor([number[found.words[row]] for row in rows]), found.vectors[rows])
        return model, f"{len(rows):,} of {len(preprocess.words):,} words have a vector in {vectors}"

    check = staticmethod(check_classes)

    @staticmethod
    def prepare(model: Any, splits: Splits[TextSource], recipe: Recipe) -> None:
        """The names of the classes; the vocabulary, for a model that has none yet."""
        del recipe
        model.classes = tuple(splits.train.classes)
        if not model.preprocess.words and not model.preprocess.tokenizer:
            model.preprocess = learned(splits.train, most=model.vocabulary - FIRST)

    @staticmethod
    def matched(source: TextSource, model: Any) -> TextSource:
        """With the labels of ``model``, by name."""
        if isinstance(source, LabelledTexts):
            return source.like(model, "the model")
        if tuple(source.classes) != tuple(model.classes):
            raise DataError(f"the model knows {', '.join(model.classes)}, the data has {', '.join(source.classes)}")
        return source

    @staticmethod
    def score_model(
        model: Any,
        source: TextSource,
        *,
        batch_size: int,
        workers: int = 0,
        precision: Precision = "fp32",
        accelerator: Accelerator | None = None,
    ) -> ClassScores:
        """Process r tells the texts r, r + n, …."""
        rank, world = place_of(accelerator)
        batches = eval_text_batches(source, model.preprocess, batch_size, workers=workers, rank=rank, world=world)
        predictor = Predictor(model, precision=precision, fold=False)
        share = [found.probabilities for batch in batches for found in predictor.predict_batch(batch)]

        def finish(shares: list[Any]) -> ClassScores:
            truth = shares_of(source, range(len(source)))
            return with_auc(score(np.stack(in_turn(shares)), truth, source.classes), np.stack(in_turn(shares)), truth)

        return together(accelerator, share, finish)

    def __init__(self, splits: Splits[TextSource], model: Any, recipe: Recipe, accelerator: Accelerator) -> None:
        if model.preprocess.size > model.vocabulary:
            raise TrainingError(
                f"the model has vectors for {model.vocabulary:,} numbers, its vocabulary {model.preprocess.size:,}; "
                "build it with as many, or start from weights of the same name"
            )
        if splits.train.classes != splits.val.classes:
            raise TrainingError(f"train names the classes {splits.train.classes}, val {splits.val.classes}")
        super().__init__(splits, model, recipe, accelerator)

    def batches(self, recipe: Recipe, **part: int) -> Batches:
        return train_text_batches(self.splits.train, self.preprocess, recipe, **part)

    def draw_data(self, folder: Path) -> None:
        draw_text_data(folder, self.splits, self.preprocess)

    draw_scores = staticmethod(draw_text_results)

    def evaluate(self, model: Any) -> dict[str, float]:
        scores = self.scores(model)
        return {**scores.figures(), "macro_auc": scores.macro_auc}


def with_auc(scores: ClassScores, probabilities: np.ndarray, truth: np.ndarray) -> ClassScores:
    """``scores`` with the area under the ROC curve of each class against the others, and their mean."""
    each = np.array([rank(p, t > 0, RECALLS).auc for p, t in zip(probabilities.T, truth.T, strict=True)])
    known = each[~np.isnan(each)]
    return replace(scores, class_auc=each, macro_auc=float(known.mean()) if len(known) else math.nan)


def learned(
    source: TextSource,
    tokenizer: str | None = None,
    *,
    least: int = LEAST,
    most: int | None = None,
    known: Sequence[str] = (),
) -> TextPreprocess:
    """The vocabulary of a data set: words that occur ``least`` times, and those ``known``; with ``tokenizer`` that of
    the file instead."""
    if tokenizer is None:
        texts = (source.text(i) for i in range(len(source)))
        return TextPreprocess.learned(texts, least=least, most=most, known=known)
    try:
        text = Path(tokenizer).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{tokenizer}: cannot be read ({error}); give a tokenizer.json") from None
    return TextPreprocess(tokenizer=text)


def _sizes(splits: Splits[TextSource], preprocess: TextPreprocess) -> dict[str, Any]:
    return {"num_classes": len(splits.train.classes), "vocabulary": preprocess.size}
