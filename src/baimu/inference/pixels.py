"""Arrays and tensors from the user's own code to RGB uint8 (H, W, 3), without guessing their range."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from baimu.errors import ImageError


def rgb_from_array(array: np.ndarray, name: str) -> np.ndarray:
    """RGB uint8 (H, W, 3) from (H, W, 3) RGB, (H, W, 4) RGBA, laid over white, or grey (H, W) and (H, W, 1).

    uint8 is taken as it is; bool is 0 and 255; uint16 is divided by 257; floats are 0…1; other whole numbers must lie
    in 0…255. Raises :class:`~baimu.errors.ImageError`, starting with ``name``, for anything else: numbers out of that
    range, nan, another shape, or no pixels.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        turned = (
            "; put the channels last: array.transpose(1, 2, 0)" if array.ndim == 3 and len(array) in (1, 3, 4) else ""
        )
        raise ImageError(
            f"{name}: an array must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {array.shape}{turned}"
        )
    if 0 in array.shape:
        raise ImageError(f"{name}: has no pixels, its shape is {array.shape}; see where it was cut or read")
    pixels = _to_uint8(array, name)
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3:].astype(np.uint32)
        mixed = pixels[:, :, :3] * alpha + 255 * (255 - alpha)
        pixels = ((mixed + 127) // 255).astype(np.uint8)
    elif pixels.shape[2] == 1:
        pixels = pixels.repeat(3, 2)
    return np.ascontiguousarray(pixels)


def rgb_from_tensor(tensor: Tensor, name: str) -> np.ndarray:
    """The same from (3, H, W), (4, H, W), (1, H, W) or (H, W) on any device."""
    if tensor.ndim == 3 and tensor.shape[0] in (1, 3, 4):
        tensor = tensor.permute(1, 2, 0)
    elif tensor.ndim != 2:
        shape = tuple(tensor.shape)
        turned = (
            "; put the channels first: tensor.permute(2, 0, 1)" if len(shape) == 3 and shape[2] in (1, 3, 4) else ""
        )
        raise ImageError(f"{name}: a tensor must be (C, H, W) with C of 1, 3 or 4, or (H, W), got {shape}{turned}")
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy knows no bfloat16
    return rgb_from_array(tensor.numpy(), name)


def _to_uint8(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    kind = array.dtype.kind
    if kind not in "iuf":
        raise ImageError(f"{name}: pixels must be numbers, got {array.dtype}")
    low, high = float(array.min()), float(array.max())
    top = 1.0 if kind == "f" else 255.0
    slack = 1e-3 if kind == "f" else 0.0  # what resampling overshoots
    if not (low >= -slack and high <= top + slack):  # nan fails too
        raise ImageError(
            f"{name}: {array.dtype} pixels must lie in 0…{top:g}, these go from {low:g} to {high:g}; "
            "scale them, or convert them to uint8 in 0…255"
        )
    if kind == "f":
        return (array.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return array.astype(np.uint8)
