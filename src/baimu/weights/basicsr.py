"""Parameters of BasicSR: generators of super-resolution (``MSRResNet_x4_….pth``)."""

from __future__ import annotations

from baimu.weights.keys import Route, Source

MSRRESNET = Route(
    models=r"msrresnet(_x[23])?",
    table=(
        (r"^conv_(first|hr|last)\.", r"generator.conv_\1."),
        (r"^body\.(\d+)\.conv", r"generator.body.\1.conv"),
        (r"^upconv1\.", "generator.upconv.0."),
        (r"^upconv2\.", "generator.upconv.1."),
    ),
)

SOURCE = Source(name="basicsr", routes=(MSRRESNET,))
