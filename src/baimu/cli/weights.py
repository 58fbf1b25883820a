"""``baimu weights``: list, show, fetch, verify."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

weights = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


class Commercial(StrEnum):
    """What is known of commercial use."""

    yes = "yes"
    no = "no"
    unknown = "unknown"


Tag = Annotated[str, typer.Argument(metavar="TAG", help="Name and tag, for example fcos_r50_fpn.coco.")]


@weights.callback()
def main() -> None:
    """Published weights: list, show, fetch and verify them.

    Example: baimu weights list "fcos*"
    """


@weights.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help='Shell pattern, for example "fcos*".')] = "*",
    model: Annotated[str | None, typer.Option(help="Only weights of this model.")] = None,
    source: Annotated[str | None, typer.Option(help="Only weights of this source, for example torchvision.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Only weights under this licence, for example Apache-2.0.")
    ] = None,
    commercial: Annotated[
        Commercial | None, typer.Option(help="Only weights whose commercial use is allowed, forbidden or left open.")
    ] = None,
    cached: Annotated[bool, typer.Option("--cached", help="Only weights that are in the cache.")] = False,
) -> None:
    """List the published weights that can be used by name.

    Example: baimu weights list "fcos*"

    Example: baimu weights list --model retinanet_r50_fpn --licence Apache-2.0
    """
    from baimu.cli.table import print_table
    from baimu.weights.catalog import entries

    asked = commercial.value if commercial else None
    found = entries(pattern, model=model, source=source, licence=licence, commercial=asked)
    here = {e.tag: e.path.exists() for e in found}
    found = [e for e in found if here[e.tag] or not cached]
    if not found:
        typer.echo("no published weights match; baimu weights list lists all")
        return
    rows = [
        (e.tag, _figures(e.metrics), e.source, e.licence, _answer(e.commercial), "yes" if here[e.tag] else "")
        for e in found
    ]
    print_table(("name.tag", "published", "source", "licence", "commercial use", "in cache"), rows)


@weights.command("show")
def show(tag: Tag) -> None:
    """Show all that is known of published weights.

    Example: baimu weights show fcos_r50_fpn.coco
    """
    from baimu.weights.catalog import entry

    known = entry(tag)
    classes = f"{len(known.classes)}: {', '.join(known.classes[:5])}, …" if known.classes else ""
    facts = {
        "name.tag": known.tag,
        "model": known.name,
        "arguments": _pairs(known.arguments),
        "source": known.source,
        "published as": known.config,
        "published": _figures(known.metrics),
        "epochs": known.epochs,
        "classes": classes,
        "input": _pairs(known.input),
        "URL": known.url,
        "sha256": known.sha256 if len(known.sha256) in (0, 64) else f"{known.sha256}…",
        "size": f"{known.size:g} MiB" if known.size else None,
        "path": known.path,
        "in cache": "yes" if known.path.exists() else "no",
        "commercial use": _answer(known.commercial),
        **known.terms,
    }
    facts = {name: value for name, value in facts.items() if value not in (None, "")}
    width = max(map(len, facts))
    for name, value in facts.items():  # no table: it would fold addresses, which one wants to copy
        typer.echo(f"{name:{width}}  {value}")


@weights.command("fetch")
def fetch(
    tags: Annotated[list[str], typer.Argument(metavar="TAG", help="Names and tags, for example fcos_r50_fpn.coco.")],
) -> None:
    """Download published weights into the cache.

    What is there already is checked and kept. The folder is BAIMU_CACHE, by default ~/.cache/baimu/weights or the
    platform's like. Each path is printed on a line of its own.

    Example: baimu weights fetch fcos_r50_fpn.coco
    """
    from baimu.weights import catalog

    for tag in [catalog.entry(tag).tag for tag in tags]:  # a wrong name is answered before the first download
        typer.echo(catalog.fetch(tag))


@weights.command("verify")
def verify(
    tag: Annotated[
        str | None, typer.Argument(metavar="TAG", help="Name and tag; by default all that is in the cache.")
    ] = None,
) -> None:
    """Compare files in the cache with their published hashes.

    Leaves with exit code 1 if one is wrong, unfinished or, asked for by name, absent. The state is unknown where its
    publisher states no hash.

    Example: baimu weights verify

    Example: baimu weights verify fcos_r50_fpn.coco
    """
    from baimu.cli.table import print_table
    from baimu.weights import catalog
    from baimu.weights.cache import cache_folder

    found = catalog.verify(tag)
    if not found:
        typer.echo(f"{cache_folder()}: no weights of the catalogue are here")
        return
    print_table(("name.tag", "state", "sha256", "path"), [(v.tag, v.state, v.sha256 or "", str(v.path)) for v in found])
    if any(v.state not in ("right", "unknown") for v in found):
        raise typer.Exit(1)


def _figures(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in metrics.items())


def _pairs(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _answer(commercial: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown"}[commercial]
