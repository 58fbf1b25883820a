"""All faults, of every format."""

from __future__ import annotations

from tests.datasets.doctor import (  # noqa: F401  (they register themselves)
    faults_coco,
    faults_images,
    faults_labels,
    faults_maps,
    faults_texts,
    faults_tracks,
    faults_voc,
    faults_yolo,
)
from tests.datasets.doctor.planting import FAULTS, Expected, Fault

__all__ = ["FAULTS", "Expected", "Fault"]
