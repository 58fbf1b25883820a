"""All metrics that are compared."""

from __future__ import annotations

from tests.metrics.equality.coco import BOXES, MASKS
from tests.metrics.equality.maps import MAPS
from tests.metrics.equality.readings import READINGS
from tests.metrics.equality.search import SEARCH
from tests.metrics.equality.tracks import TRACKS
from tests.metrics.equality.voc import VOC

SUBJECTS = (BOXES, MASKS, VOC, MAPS, SEARCH, READINGS, TRACKS)
