"""The pool of made images: what it gives, what it keeps, and that a copy of its memory goes on alike."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from baimu.layers.image_pool import ImagePool


def numbered(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 2, 2)


def shown(images: Tensor) -> list[int]:
    return [int(image[0, 0, 0]) for image in images]


def test_the_sequence_is_that_of_a_plain_list(monkeypatch) -> None:
    """Against the rule in words, with the same draws."""
    draws = random.Random(3)
    script = [(draws.random(), draws.randrange(2)) for _ in range(40)]
    chances, places = iter([c for c, _ in script]), iter([p for c, p in script if c > 0.5])
    monkeypatch.setattr(torch, "rand", lambda *_: next(chances))
    monkeypatch.setattr(torch, "randint", lambda *_: next(places))
    pool, kept, rest = ImagePool(2), [], iter(script)
    for number in range(30):
        if len(kept) < 2:
            kept.append(number)
            expected = number
        else:
            chance, place = next(rest)
            expected = number
            if chance > 0.5:
                expected, kept[place] = kept[place], number
        assert shown(pool(numbered(number))) == [expected]
        assert [int(image[0, 0, 0]) for image in pool.images] == kept


def test_it_never_holds_more_than_its_size() -> None:
    torch.manual_seed(0)
    pool, given = ImagePool(5), []
    for start in range(0, 60, 4):
        out = pool(numbered(*range(start, start + 4)))
        assert out.shape == (4, 3, 2, 2)
        given += shown(out)
        assert len(pool.images) == min(5, start + 4)
    assert given[:5] == [0, 1, 2, 3, 4]
    assert sum(a != b for a, b in enumerate(given)) > 10  # older ones do come back


def test_without_room_it_passes_on_what_it_is_given() -> None:
    images = numbered(1, 2, 3).requires_grad_()
    assert ImagePool(0)(images) is images


def test_what_it_gives_has_no_gradient() -> None:
    images = (numbered(1).clone().requires_grad_() * 2).contiguous()
    assert not ImagePool(3)(images).requires_grad


def test_a_recalled_pool_goes_on_alike() -> None:
    torch.manual_seed(0)
    pool = ImagePool(4)
    pool(numbered(*range(9)))
    other = ImagePool(4)
    other.recall(pool.memory())
    state = torch.get_rng_state()
    first = shown(pool(numbered(*range(10, 20))))
    torch.set_rng_state(state)
    assert shown(other(numbered(*range(10, 20)))) == first
    assert ImagePool(4).memory() == {}
    other.recall({})
    assert other.images == []


def test_it_is_in_no_state_dict() -> None:
    pool = ImagePool(4)
    pool(numbered(1, 2))
    assert pool.state_dict() == {}
