"""``baimu``: one verb a file. Each verb parses, calls the function of the same name in :mod:`baimu`, and prints."""

from __future__ import annotations

import warnings
from typing import Annotated

import typer
from typer.core import TyperGroup

from baimu import __version__
from baimu.cli import (
    bench,
    convert,
    data,
    demo,
    env,
    eval,
    explain,
    export,
    index,
    models,
    predict,
    search,
    serve,
    track,
    train,
    weights,
)
from baimu.errors import OF_DISKS, BaimuError


class Verbs(TyperGroup):
    """The verbs. What is wrong with the user's input ends in one message and exit code 2, not in a traceback."""

    def invoke(self, ctx: typer.Context) -> object:
        try:
            return super().invoke(ctx)
        except BaimuError as error:
            if ctx.params["debug"]:
                raise
            typer.secho(f"baimu: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(2) from None
        except OSError as error:  # of a file that the user named, or of its disk; any other is a fault of ours
            ours = error.filename is None and error.errno not in OF_DISKS
            if ctx.params["debug"] or ours or isinstance(error, ChildProcessError | ConnectionError):
                raise
            place, mend = error.filename or "a file", "check the path, its permissions and the space on the disk"
            told = f"baimu: {place}: {error.strerror}; {mend}"
            typer.secho(told, fg=typer.colors.RED, err=True)
            raise typer.Exit(2) from None


app = typer.Typer(cls=Verbs, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"baimu {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="BAIMU_DEBUG", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Computer vision on your own data: train, evaluate and use a model.

    First steps: baimu demo

    Then: baimu train fcos_r50_fpn --data FOLDER
    """


app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("eval")(eval.eval)
app.command("predict")(predict.predict)
app.command("explain")(explain.explain)
app.command("track")(track.track)
app.command("index")(index.index)
app.command("search")(search.search)
app.command("serve")(serve.serve)
app.command("models")(models.models)
app.add_typer(weights.weights, name="weights")
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.command("convert")(convert.convert)
app.add_typer(data.data, name="data")
app.command("env")(env.env)


def run() -> None:
    """The console script. What the library warns of is a line on stderr."""
    warnings.showwarning = lambda message, *_: typer.secho(f"baimu: {message}", fg=typer.colors.YELLOW, err=True)
    app(prog_name="baimu")


if __name__ == "__main__":
    run()
