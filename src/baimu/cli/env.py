"""``baimu env``."""

from __future__ import annotations

import typer


def env() -> None:
    """Show the machine and the versions of everything baimu uses: paste this into a bug report.

    Example: baimu env
    """
    import baimu

    typer.echo(str(baimu.env()))
