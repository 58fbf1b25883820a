"""All faults, room by room."""

from __future__ import annotations

from tests.sabotage import learning, methods, network, parts, reading, using

FAULTS = (*reading.FAULTS, *network.FAULTS, *methods.FAULTS, *parts.FAULTS, *learning.FAULTS, *using.FAULTS)
