"""Every tracker of one object learns a batch of pairs with its own recipe's optimiser."""

from __future__ import annotations

import pytest
import torch

from baimu.datasets.moving import MovingPlayground
from baimu.datasets.pairs import train_pairs
from baimu.zoo import create_model, list_models, recipe_of

STEPS = 30
QUICK = {"siamfc_alexnet": (0.1, 0.85)}
"""A higher rate, and the share of the loss that is left: at its own rate SiamFC takes tens of thousands of steps."""


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models(task="tracking"))
def test_a_batch_is_learned(name: str) -> None:
    rate, left = QUICK.get(name, (recipe_of(name).lr, 0.5))
    torch.manual_seed(0)
    model = create_model(name, width=0.05, search_size=191).train()
    recipe = recipe_of(name).replace(batch_size=4, pairs_per_epoch=4, workers=0, search_jitter=(24.0, 0.1))
    batch = next(iter(train_pairs(MovingPlayground(4, length=6, size=96), recipe, (127, 191), epoch=0)))
    search = model.preprocess.normalize(batch.inputs)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=recipe.weight_decay)
    losses = []
    for _ in range(STEPS):
        loss = sum(model.losses(search, batch.targets).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) / 5 < left * losses[0], losses
