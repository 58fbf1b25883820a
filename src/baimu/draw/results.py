"""A picture of any result: which function draws what.

=====================================  ===========================================
:class:`~baimu.results.Detections`     :func:`~baimu.draw.boxes.draw_detections`
:class:`~baimu.results.Classification` :func:`~baimu.draw.classes.draw_classes`
:class:`~baimu.results.Explanation`    :func:`~baimu.draw.heat.draw_explanation`
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
from baimu.results import Classification, Detections, Explanation, Result

_DRAWN_BY: dict[type[Result], Callable[..., Image.Image]] = {
    Detections: draw_detections,
    Classification: draw_classes,
    Explanation: draw_explanation,
}


def draw_result(image: np.ndarray | Image.Image, result: Result, **options: Any) -> Image.Image:
    """The image with ``result`` on it; ``options`` as of the function that draws it."""
    return _DRAWN_BY[type(result)](image, result, **options)
