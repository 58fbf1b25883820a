"""``baimu models``."""

from __future__ import annotations

from typing import Annotated

import typer


def models(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help='Shell pattern, for example "fcos*".')] = "*",
    task: Annotated[str | None, typer.Option(help="Only models of this task, for example detection.")] = None,
) -> None:
    """List the models that can be built by name.

    Example: baimu models "fcos*"
    """
    import baimu
    from baimu.cli.table import print_table

    found = baimu.models(pattern, task=task)
    if not found:
        typer.echo(f"no model matches {pattern}{f' with task {task}' if task else ''}; baimu models lists all")
        return
    reported = [", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in info.reported.items()) for info in found]
    rows = [(i.name, i.task, i.paper, figures, i.title) for i, figures in zip(found, reported, strict=True)]
    print_table(("name", "task", "arXiv", "published", "what it is"), rows)
