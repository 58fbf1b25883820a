"""Parameters of timm: its plain ResNets and ResNeXts, which have torchvision's names."""

from __future__ import annotations

from baimu.weights.keys import Source
from baimu.weights.torchvision import RESNET, describe

SOURCE = Source(name="timm", marks=(r"^layer1\.0\.conv1\.weight$",), routes=(RESNET,), describe=describe)
