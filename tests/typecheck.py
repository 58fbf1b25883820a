"""The run-time type checker of the tests: an int is welcome where a float is asked for, and so is a size that torch
keeps free while it makes a graph, where an int is."""

from beartype import BeartypeConf, FrozenDict, beartype
from torch import SymInt

check = beartype(
    conf=BeartypeConf(
        is_pep484_tower=False, hint_overrides=FrozenDict({int: int | SymInt, float: float | int | SymInt})
    )
)
