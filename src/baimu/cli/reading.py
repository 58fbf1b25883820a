"""Options of ``baimu predict`` that are for readers of text lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Beam = Annotated[
    int | None, typer.Option(min=0, help="Texts to follow at once; by default 0, greedy. For readers of text lines.")
]
Lexicon = Annotated[Path | None, typer.Option(help="Text file of the words that may occur, one a line. For readers.")]
LanguageModel = Annotated[
    Path | None, typer.Option(help="Text file from which to learn which characters follow which. For readers.")
]


def given(beam: int | None, lexicon: Path | None, language_model: Path | None) -> dict[str, Any]:
    """As the predictor takes them."""
    return {"beam": beam, "lexicon": lexicon, "language_model": language_model}
