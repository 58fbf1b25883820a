"""Names of classifiers' parameters: one file a family of backbones, with its routes from every source that has it."""

from __future__ import annotations

import importlib
import pkgutil

from baimu.weights.keys import Route


def routes(source: str) -> tuple[Route, ...]:
    """Of all families, from the source of this name: ``ROUTES[source]`` of each module here."""
    modules = [importlib.import_module(found.name) for found in pkgutil.iter_modules(__path__, f"{__name__}.")]
    return tuple(route for module in modules for route in module.ROUTES.get(source, ()))
