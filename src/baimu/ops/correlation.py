"""Cross-correlation of one map with another: the product of Siamese networks. Dims: B images, C channels."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def correlate(search: Float[Tensor, "b c h w"], kernels: Float[Tensor, "n kc kh kw"]) -> Float[Tensor, "b k h2 w2"]:
    """Each image's ``kernels``, K of them over all C channels, slid over its own map, without padding.

    ``kernels`` has the C channels of the first kernel, then those of the second: a template (C channels) is one. Those
    of a single image serve all maps.
    """
    b, c, height, width = search.shape
    weight = kernels.reshape(-1, c, *kernels.shape[2:])
    if kernels.shape[0] == 1:
        return F.conv2d(search, weight)
    out = F.conv2d(search.reshape(1, b * c, height, width), weight, groups=b)
    return out.reshape(b, -1, *out.shape[2:])


def correlate_depthwise(
    search: Float[Tensor, "b c h w"], kernel: Float[Tensor, "n c kh kw"]
) -> Float[Tensor, "b c h2 w2"]:
    """Each channel of each image's map with its own kernel, without padding (1812.11703 §3.3). The kernels of a single
    image serve all maps."""
    b, c, height, width = search.shape
    if kernel.shape[0] == 1:
        return F.conv2d(search, kernel.transpose(0, 1), groups=c)
    weight = kernel.reshape(b * c, 1, *kernel.shape[2:])
    out = F.conv2d(search.reshape(1, b * c, height, width), weight, groups=b * c)
    return out.reshape(b, c, *out.shape[2:])
