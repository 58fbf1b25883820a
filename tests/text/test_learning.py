"""The readers learn a few lines by heart, and then read them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from baimu.datasets.line_batches import train_line_batches
from baimu.datasets.text_lines import TextLines
from baimu.recipes import Recipe
from baimu.text.decoding import greedy
from baimu.zoo import create_model, list_models


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models(task="text_recognition"))
def test_a_reader_reads_the_lines_that_it_learned(name: str) -> None:
    torch.manual_seed(0)
    source = TextLines(4)
    model: Any = create_model(name, num_classes=len(source.classes), hidden=64).train()
    recipe = Recipe(batch_size=4, workers=0, resize="height", size=32, max_size=2048, flip=0.0)
    (batch,) = train_line_batches(source, model.preprocess, recipe, epoch=0)
    images = model.preprocess.normalize(batch.inputs, batch.targets.sizes)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(120):
        optimizer.zero_grad()
        model.losses(images, batch.targets)["ctc"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    with torch.no_grad():  # in training mode: four lines are too few for statistics of their own
        logits = model(images, batch.targets.sizes)
    found = greedy(logits.log_softmax(2), model.steps(logits, batch.targets.sizes))
    truth = [[k for k in row if k >= 0] for row in batch.targets.labels.tolist()]
    assert [list(labels) for labels, _ in found] == truth
