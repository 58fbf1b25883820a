"""``baimu track``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from baimu.results import Tracks


def track(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A video, a folder of frames, or a MOTChallenge sequence.")
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint, run folder or name.tag of a detector, or of a tracker of one object (--box)."),
    ] = None,
    detections: Annotated[
        Path | None, typer.Option(help="MOTChallenge text with the detections, instead of a detector.")
    ] = None,
    tracker: Annotated[str, typer.Option(help="What brings detections together: bytetrack, sort, deepsort.")] = (
        "bytetrack"
    ),
    embed: Annotated[str | None, typer.Option(help="Run folder or checkpoint of an embedder, for deepsort.")] = None,
    box: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="The one object in the first frame: left, top, width, height.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the tracker, such as buffer=60; repeat at will."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the annotated frames or video and tracks.txt; or a video file.")
    ] = Path("tracks"),
    truth: Annotated[
        Path | None, typer.Option(help="MOTChallenge text with the true tracks: prints HOTA, MOTA, IDF1 and more.")
    ] = None,
    mot17: Annotated[
        bool, typer.Option("--mot17", help="Score as MOT16, MOT17 and MOT20 do: persons only, distractors left out.")
    ] = False,
    min_score: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Leave out detections that score less.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames a forward pass of the detector.")] = 1,
    device: Annotated[str | None, typer.Option(help="For example cuda, cuda:1, mps or cpu.")] = None,
) -> None:
    """Follow objects through a video: all that a detector finds, or the one that you name.

    Every frame is drawn into --out, and tracks.txt there holds the boxes as MOTChallenge writes them.

    Example: baimu track street.mp4 --model fcos_r50_fpn.coco --tracker bytetrack

    Example: baimu track MOT17-02 --detections MOT17-02/det/det.txt --truth MOT17-02/gt/gt.txt

    Example: baimu track ball.mp4 --model runs/siamfc --box 120,80,40,40
    """
    from baimu.cli.settings import parse_settings
    from baimu.datasets.formats.mot import read_mot
    from baimu.inference.saving_tracks import TEXT, save_tracks

    true = None if truth is None else read_mot(truth)  # before anything is followed: it may not be there

    def report(found: Tracks) -> None:
        typer.echo(f"{found.source}: {found.summary}")

    options = {"model": model, "detections": detections, "tracker": tracker, "embed": embed, "device": device}
    options |= {"box": box and _corners(box), "min_score": min_score, "batch_size": batch_size}
    told = save_tracks(source, out, report=report, **options, **parse_settings(settings or ()))
    text = (out.parent if out.suffix else out) / TEXT
    seen = {number for found in told for number in found.ids.tolist()}
    typer.echo(f"{len(seen)} tracks in {len(told)} frames → {out}, {text}")
    if true is not None:
        from baimu.datasets.formats.mot import TrackRows
        from baimu.metrics.mot import score_tracks, without_distractors

        name, found = Path(source).name, TrackRows.of_tracks(told)
        true, found = without_distractors(true, found) if mot17 else (true, found)
        typer.echo(str(score_tracks({name: true}, {name: found})))


def _corners(box: str) -> tuple[float, float, float, float]:
    try:
        left, top, width, height = (float(part) for part in box.split(","))
    except ValueError:
        raise typer.BadParameter(f"{box!r} is not left,top,width,height in pixels", param_hint="--box") from None
    return left, top, left + width, top + height
