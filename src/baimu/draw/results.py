"""A picture of any result: which function draws what.

=====================================  ===========================================
:class:`~baimu.results.Detections`     :func:`~baimu.draw.boxes.draw_detections`
:class:`~baimu.results.Classification` :func:`~baimu.draw.classes.draw_classes`
:class:`~baimu.results.Explanation`    :func:`~baimu.draw.heat.draw_explanation`
:class:`~baimu.results.Picture`        :func:`~baimu.draw.translations.draw_picture`
:class:`~baimu.results.Embedding`      :func:`~baimu.draw.matches.draw_embedding`
:class:`~baimu.results.Matches`        :func:`~baimu.draw.matches.draw_matches`
:class:`~baimu.results.Reading`        :func:`~baimu.draw.lines.draw_reading`
:class:`~baimu.results.Segmentation`   :func:`~baimu.draw.label_maps.draw_segmentation`
:class:`~baimu.results.Tracks`         :func:`~baimu.draw.tracks.draw_tracks`
=====================================  ===========================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from baimu.draw.boxes import draw_detections
from baimu.draw.classes import draw_classes
from baimu.draw.heat import draw_explanation
from baimu.draw.label_maps import draw_segmentation
from baimu.draw.lines import draw_reading
from baimu.draw.matches import draw_embedding, draw_matches
from baimu.draw.tracks import draw_tracks
from baimu.draw.translations import draw_picture
from baimu.results import (
    Classification,
    Detections,
    Embedding,
    Explanation,
    Matches,
    Picture,
    Reading,
    Result,
    Segmentation,
    Tracks,
)

_DRAWN_BY: dict[type[Result], Callable[..., Image.Image]] = {
    Detections: draw_detections,
    Classification: draw_classes,
    Explanation: draw_explanation,
    Reading: draw_reading,
    Picture: draw_picture,
    Segmentation: draw_segmentation,
    Embedding: draw_embedding,
    Matches: draw_matches,
    Tracks: draw_tracks,
}


def draw_result(image: np.ndarray | Image.Image, result: Result, **options: Any) -> Image.Image:
    """The image with ``result`` on it; ``options`` as of the function that draws it."""
    return _DRAWN_BY[type(result)](image, result, **options)
