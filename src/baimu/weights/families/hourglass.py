"""The stacked hourglass: mmdetection's names, and those of CornerNet and CenterNet (``kp``).

It has no classifier, so that there are no routes; detectors put these tables behind their own.
"""

from __future__ import annotations

from baimu.weights.keys import KeyTable, Route

MMDETECTION: KeyTable = ((r"^(backbone\..*)\.bn\.", r"\1.norm."),)

CORNERNET: KeyTable = (
    (r"^pre\.0\.conv\.", "backbone.stem.0.conv."),
    (r"^pre\.0\.bn\.", "backbone.stem.0.norm."),
    (r"^pre\.1\.", "backbone.stem.1.0."),
    (r"^kps\.", "backbone.hourglass_modules."),
    (r"^cnvs\.(\d)\.conv\.", r"backbone.out_convs.\1.conv."),
    (r"^cnvs\.(\d)\.bn\.", r"backbone.out_convs.\1.norm."),
    (r"^inters_\.(\d)\.0\.", r"backbone.conv1x1s.\1.conv."),
    (r"^inters_\.(\d)\.1\.", r"backbone.conv1x1s.\1.norm."),
    (r"^cnvs_\.(\d)\.0\.", r"backbone.remap_convs.\1.conv."),
    (r"^cnvs_\.(\d)\.1\.", r"backbone.remap_convs.\1.norm."),
    (r"^inters\.", "backbone.inters."),
    (r"\.skip\.", ".downsample."),
)
ROUTES: dict[str, tuple[Route, ...]] = {}
