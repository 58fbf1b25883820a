"""How many parameters the backbone of each network has: by this few are chosen to be built when a file is recognised.

``sizes.json`` is made by ``python -m baimu.weights.sizes``, and a test keeps it true. A network that it lacks is found
all the same, but slowly.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources

from baimu.weights.outline import BACKBONE

_STATISTICS = r"\.(running_mean|running_var|num_batches_tracked)$"  # which some sources fold or leave out


def size_of(shapes: Mapping[str, Sequence[int]]) -> int:
    """Elements of all parameters of the backbone, under our names."""
    return sum(math.prod(s) for k, s in shapes.items() if k.startswith(BACKBONE) and not re.search(_STATISTICS, k))


@functools.cache
def sizes() -> dict[str, int]:
    """By name of the catalogue."""
    return json.loads(resources.files("baimu.weights").joinpath("sizes.json").read_text(encoding="utf-8"))


def _measure() -> dict[str, int]:
    from baimu.weights.outline import outline
    from baimu.zoo import list_models

    return {name: size_of(outline(name, {}).two) for name in list_models()}


if __name__ == "__main__":
    from pathlib import Path

    Path(__file__).with_name("sizes.json").write_text(json.dumps(_measure(), indent=1) + "\n", encoding="utf-8")
