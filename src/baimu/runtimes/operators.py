"""The library's own operators, of which an exported graph may consist besides torch's."""

from __future__ import annotations

import torch


def register() -> None:
    """Make them known to torch."""
    from baimu.layers import ragged  # noqa: F401
    from baimu.ops import nms, roi  # noqa: F401


def operators() -> tuple[object, ...]:
    """``baimu::keep_best``, ``baimu::roi_align`` and ``baimu::lstm``."""
    register()
    own = torch.ops.baimu
    return own.keep_best.default, own.roi_align.default, own.lstm.default
