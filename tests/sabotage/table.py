"""All faults, room by room."""

from __future__ import annotations

from tests.sabotage import learning, network, parts, reading, using

FAULTS = (*reading.FAULTS, *network.FAULTS, *parts.FAULTS, *learning.FAULTS, *using.FAULTS)
