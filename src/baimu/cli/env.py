"""``baimu env``."""

from __future__ import annotations

import typer


def env() -> None:
    """Show the machine and the versions in use.

    Paste it into a bug report.

    Example: baimu env
    """
    import baimu

    typer.echo(str(baimu.env()))
