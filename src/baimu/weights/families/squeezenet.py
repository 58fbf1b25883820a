"""SqueezeNet: torchvision counts layers, ReLUs and poolings among them; here they have the paper's names."""

from __future__ import annotations

from baimu.weights.keys import Route


def _route(name: str, places: tuple[int, ...]) -> Route:
    """``places`` are the positions of fire 2…9."""
    return Route(
        models=name,
        table=(
            (r"^features\.0\.", "backbone.conv1.conv."),
            *((rf"^features\.{place}\.", f"backbone.fire{number}.") for number, place in enumerate(places, start=2)),
            (r"\.(squeeze|expand1x1|expand3x3)\.", r".\1.conv."),
            (r"^classifier\.1\.", "head.conv.conv."),
        ),
    )


ROUTES = {
    "torchvision": (
        _route("squeezenet1_0", (3, 4, 5, 7, 8, 9, 10, 12)),
        _route("squeezenet1_1", (3, 4, 6, 7, 9, 10, 11, 12)),
    )
}
