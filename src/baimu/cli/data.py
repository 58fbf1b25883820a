"""``baimu data``: look at a data set, check it, convert it, see it."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup


class DataVerbs(TyperGroup):
    """``baimu data DIR`` is ``baimu data summary DIR``. A folder that is called like a verb is ``./check``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            mistyped = get_close_matches(args[0], self.commands) and not Path(args[0]).exists()
            args = args if mistyped else ["summary", *args]
        return super().parse_args(ctx, args)


data = typer.Typer(cls=DataVerbs, no_args_is_help=True, rich_markup_mode=None)


@data.callback()
def main() -> None:
    """Summarise, check, convert and view data sets.

    What stands in a data set: baimu data FOLDER

    Example: baimu data playground:train=100,val=20
    """


DataSource = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="COCO json or folder, VOC or YOLO folder, data.yaml, images with masks, class folders, CSV list, idx "
        "files, a list of line images or of texts, trainA with trainB, a folder of images, photos:from=grey, "
        "playground.",
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(help="What to read it as, where it could be several: semantic_segmentation, classification, …"),
]


@data.command("summary")
def summary(source: DataSource, kind: Kind = None) -> None:
    """Summarise a data set and its problems; the verb itself may be left away.

    Prints the images, and objects or labels, of each split and class, the sizes, and every record that is wrong.

    Example: baimu data playground:train=100,val=20

    Example: baimu data my_photos --kind semantic_segmentation
    """
    import baimu

    typer.echo(str(baimu.data(source, kind=kind)))


@data.command("check")
def check(
    source: DataSource,
    kind: Kind = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Decode every image: damage, doubles, and what train and val share.")
    ] = False,
    fix: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a mended copy there; the source is only read.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with pictures of what is wrong.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print every finding as JSON.")] = False,
    fail_on: Annotated[str, typer.Option(help="From where on the exit status is 1: error, warning or note.")] = "error",
) -> None:
    """Check a data set, record by record; docs/data_rules.md explains the codes.

    The exit status is 0 where nothing is wrong, 1 where something is, and 2 where the data cannot be read.

    Example: baimu data check my_photos

    Example: baimu data check my_photos --deep --html check.html --fix my_photos_mended
    """
    import json as to_json

    import baimu
    from baimu.datasets.doctor.rules import SEVERITIES
    from baimu.errors import unknown

    if fail_on not in SEVERITIES:
        raise unknown("severity", fail_on, SEVERITIES)
    report = baimu.check_data(source, kind=kind, deep=deep)
    typer.echo(to_json.dumps(report.to_dict(), ensure_ascii=False, indent=1) if json else str(report))
    if html is not None:
        typer.echo(f"page: {report.save_html(html)}", err=json)
    if fix is not None:
        typer.echo(str(baimu.fix_data(source, fix, kind=kind, deep=deep)), err=json)
    if status := report.status(fail_on):
        raise typer.Exit(status)


@data.command("convert")
def convert(
    source: DataSource,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.")],
    to: Annotated[
        str, typer.Option(help="coco, voc, yolo or maps; folders or csv; tsv, csv or folders of texts; lines; mot.")
    ],
    kind: Kind = None,
) -> None:
    """Write a data set in another format, and say what that cannot hold.

    Example: baimu data convert my_photos my_photos_coco --to coco
    """
    import baimu

    typer.echo(str(baimu.convert_data(source, out, to=to, kind=kind)))


@data.command("view")
def view(
    source: DataSource,
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("sheet.jpg"),
    split: Annotated[str | None, typer.Option(help="Which split; by default the first.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 24,
    classes: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Images of these classes alone: cat,dog.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draw the images by this number; else evenly spaced.")] = None,
    cell: Annotated[int, typer.Option(min=16, help="Pixels of a picture's longer side.")] = 320,
    kind: Kind = None,
) -> None:
    """Write a contact sheet: images with their boxes, masks, labels, maps or texts.

    Example: baimu data view my_photos --classes cat,dog --out sheet.jpg
    """
    import baimu

    if out.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
        raise typer.BadParameter(f"{out}: name a picture that ends in .jpg, .png or .webp", param_hint="--out")
    names = [name.strip() for name in classes.split(",")] if classes else None
    sheet = baimu.view_data(source, split=split, kind=kind, count=count, classes=names, seed=seed, cell=cell)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)
    typer.echo(f"{source} → {out}")
