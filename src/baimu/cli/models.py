"""``baimu models``."""

from __future__ import annotations

from typing import Annotated

import typer


def models(
    pattern: Annotated[str, typer.Argument(help='Shell pattern, for example "fcos*".')] = "*",
    task: Annotated[str | None, typer.Option(help="Only models of this task, for example detection.")] = None,
) -> None:
    """List the models that can be built by name.

    Example: baimu models "fcos*"
    """
    import baimu
    from baimu.cli.table import print_table

    rows = [
        (info.name, info.task, info.paper, ", ".join(f"{k} {v:g}" for k, v in info.reported.items()), info.title)
        for info in baimu.models(pattern, task=task)
    ]
    print_table(("name", "task", "arXiv", "reported", "what it is"), rows)
