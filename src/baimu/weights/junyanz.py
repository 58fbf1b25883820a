"""Parameters of pytorch-CycleGAN-and-pix2pix: a file holds one generator (``latest_net_G.pth``), of CycleGAN the one of
one direction, which becomes A → B here. Discriminators, in files of their own, are not read."""

from __future__ import annotations

from baimu.weights.keys import COUNTERS, KeyTable, Route, Source


def _unet(levels: int) -> KeyTable:
    """Each level is a block that holds the next one: the names grow inwards."""
    rows: list[tuple[str, str]] = []
    prefix = r"^model\.model\."
    for level in range(levels):
        innermost = level == levels - 1
        down, up = (0, 3) if level == 0 else (1, 3 if innermost else 5)
        rows.append((rf"{prefix}{down}\.", f"generator.down.{level}."))
        rows.append((rf"{prefix}{up}\.", f"generator.up.{level}."))
        if level:
            rows.append((rf"{prefix}{up + 1}\.", f"generator.up_norms.{level}."))
        if level and not innermost:
            rows.append((rf"{prefix}{down + 1}\.", f"generator.down_norms.{level}."))
        prefix += r"1\.model\." if level == 0 else r"3\.model\."
    return tuple(rows[::-1])  # inner names first, for outer patterns are no beginnings of theirs


def _resnet(blocks: int) -> KeyTable:
    """One list of all layers, with those that have no parameters counted."""
    up = 10 + blocks
    return (
        (r"^model\.1\.", "generator.b.stem.1."),
        (r"^model\.4\.", "generator.b.down.0.0."),
        (r"^model\.7\.", "generator.b.down.1.0."),
        *(
            (rf"^model\.{10 + i}\.conv_block\.{place}\.", f"generator.b.blocks.{i}.conv{n}.")
            for i in range(blocks)
            for n, place in ((1, 1), (2, 5))
        ),
        (rf"^model\.{up}\.", "generator.b.up.0.0."),
        (rf"^model\.{up + 3}\.", "generator.b.up.1.0."),
        (rf"^model\.{up + 7}\.", "generator.b.last.1."),
    )


OTHERS = (r"^discriminator\.", r"^generator\.a\.")
"""What is in other files than that of a generator."""
STATISTICS = (r"\.running_(mean|var)$", r"\.num_batches_tracked$")
"""Instance norm of old versions had them, and did not use them."""

SOURCE = Source(
    name="junyanz",
    routes=(
        Route("pix2pix", _unet(8), may_miss=(COUNTERS, *OTHERS), elsewhere=OTHERS),
        Route("pix2pix_unet128", _unet(7), may_miss=(COUNTERS, *OTHERS), elsewhere=OTHERS),
        Route("cyclegan", _resnet(9), may_miss=OTHERS, drop=STATISTICS, elsewhere=OTHERS),
        Route("cyclegan_resnet6", _resnet(6), may_miss=OTHERS, drop=STATISTICS, elsewhere=OTHERS),
    ),
)
