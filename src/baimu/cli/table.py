"""Tables: as wide as the terminal on one, whole and unwrapped in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text under the column names."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        unbounded = console.options.update(max_width=sys.maxsize)
        console.width = console.measure(table, options=unbounded).maximum
    console.print(table)
