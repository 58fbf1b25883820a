"""Parameters of MEGVII's own code: ShuffleNet-Series."""

from __future__ import annotations

from baimu.weights.families import routes
from baimu.weights.keys import Source

SOURCE = Source(name="megvii", routes=routes("megvii"))
