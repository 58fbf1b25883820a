"""Parameters of reid-strong-baseline. Its files are whole pickled models: save their ``state_dict()`` where they
run."""

from __future__ import annotations

from baimu.weights.keys import COUNTERS, Route, Source

REID = Route(
    models=r"reid_baseline_r50",
    table=(
        (r"^base\.", "backbone."),
        (r"^bottleneck\.", "neck.norm."),
        (r"^classifier\.", "head.classify."),
    ),
    arguments={"like": "strong_baseline"},
    may_miss=(COUNTERS, r"^head\.centers$"),  # which it keeps in a file of their own
    same=(r"^head\.centers$",),
)
SOURCE = Source(name="strong_baseline", routes=(REID,))
