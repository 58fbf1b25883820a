"""Imports of packages that would report their use to their makers: here they do not."""

from __future__ import annotations

import importlib
import sys
from typing import Any

REPORTERS = ("openvino_telemetry",)
"""Packages that send such reports; those that import them go without where they are absent."""


def silent_import(name: str) -> Any:
    """The module ``name``, imported as if nothing that reports were installed."""
    before = {one: sys.modules.get(one) for one in REPORTERS}
    for one in REPORTERS:
        sys.modules[one] = None  # pyright: ignore[reportArgumentType]  an import of it fails
    try:
        return importlib.import_module(name)
    finally:
        for one, module in before.items():
            sys.modules.pop(one)
            if module is not None:
                sys.modules[one] = module
