"""What an OpenMMLab configuration says, as it stands beside the parameters: text that is searched, never run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from baimu.preprocess import Preprocess, Resize
from baimu.weights.keys import Facts, State

if TYPE_CHECKING:
    from baimu.weights.stored import Stored

_PARTS = r"dict\(((?:[^()]|\([^()]*\))*)\)"  # those that hold no others
_THREE = r"\s*=\s*[\[(]\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*,?\s*[\])]"


def facts_of(stored: Stored) -> Facts:
    """Classes, preprocessing and the style of a ResNet, from the ``meta`` of mmcv's and mmengine's checkpoints."""
    meta = stored.about.get("meta")
    meta = meta if isinstance(meta, Mapping) else stored.about
    text = next((meta[key] for key in ("config", "cfg") if isinstance(meta.get(key), str)), "")
    preprocess = preprocess_in(text)
    return Facts(_classes(meta), preprocess, _style(text, preprocess))


def preprocess_in(text: str) -> Preprocess | None:
    """Normalisation and test size of a configuration's text, ``None`` if it has no mean."""
    mean, std = re.search(rf"\bmean{_THREE}", text), re.search(rf"\bstd{_THREE}", text)
    if mean is None or std is None:
        return None
    rgb = _last(r"\b(?:bgr_)?to_rgb\s*=\s*(True|False)", text)
    found = Preprocess(
        mean=(float(mean[1]), float(mean[2]), float(mean[3])),
        std=(float(std[1]), float(std[2]), float(std[3])),
        channel_order="bgr" if rgb is not None and rgb[1] == "False" else "rgb",
    )
    divisor = _last(r"\b(?:pad_)?size_divisor\s*=\s*(\d+)", text)
    if divisor is not None:
        found = found.replace(pad_to=int(divisor[1]))
    if (crop := _crop(text)) is not None:
        return found.replace(resize="crop", pad_to=1, **crop)
    scale = _last(r"\b(?:img_)?scale\s*=\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", text)  # the test pipeline comes last
    if scale is not None:
        sides = sorted((int(scale[1]), int(scale[2])))
        ratio = _last(r"\bkeep_ratio\s*=\s*(True|False)", text)
        resize: Resize = "stretch" if sides[0] == sides[1] and ratio is not None and ratio[1] == "False" else "shortest"
        found = found.replace(resize=resize, size=sides[0], max_size=sides[1])
    return found


def _crop(text: str) -> dict[str, Any] | None:
    """How a classifier's test images are cut: the last crop to the middle, and the shorter side before it."""
    parts = [found[1] for found in re.finditer(_PARTS, text)]
    sizes = [re.search(r"\bcrop_size\s*=\s*\(?\s*(\d+)", part) for part in parts if "'CenterCrop'" in part]
    resizes = [part for part in parts if re.search(r"'Resize(Edge)?'", part)]
    sides = [re.search(r"\b(?:scale|size)\s*=\s*\(?\s*(\d+)", part) for part in resizes]
    if not sizes or sizes[-1] is None or not sides or sides[-1] is None:
        return None
    size, side = int(sizes[-1][1]), int(sides[-1][1])
    interpolation = "bicubic" if re.search(r"interpolation\s*=\s*'bicubic'", resizes[-1]) else "bilinear"
    return {"size": size, "crop_share": size / side, "interpolation": interpolation}


def wrapped(state: State, facts: Facts) -> dict[str, Any]:
    """A checkpoint as mmengine's, which mmcv reads too: classes, and the part of a configuration that belongs to it."""
    meta: dict[str, Any] = {}
    if facts.classes:
        meta |= {"CLASSES": facts.classes, "dataset_meta": {"classes": facts.classes}}
    if facts.preprocess is not None:
        p, style = facts.preprocess, "pytorch" if facts.arguments.get("stride_in_3x3", True) else "caffe"
        meta["cfg"] = (
            "model = dict(\n"
            f"    data_preprocessor=dict(mean={list(p.mean)}, std={list(p.std)},\n"
            f"                           bgr_to_rgb={p.channel_order == 'rgb'}, pad_size_divisor={p.pad_to}),\n"
            f"    backbone=dict(style={style!r}))\n"
            f"test_pipeline = [{_pipeline(p)}]\n"
        )
    return {"meta": meta, "state_dict": state}


def _pipeline(p: Preprocess) -> str:
    if p.resize == "crop":
        edge = f"scale={int(p.size / p.crop_share + 1e-6)}, edge='short', interpolation={p.interpolation!r}"
        return f"dict(type='ResizeEdge', {edge}), dict(type='CenterCrop', crop_size={p.size})"
    return f"dict(type='Resize', scale=({p.max_size}, {p.size}), keep_ratio={p.resize != 'stretch'})"


def _classes(meta: Mapping[str, Any]) -> tuple[str, ...] | None:
    data = meta.get("dataset_meta")
    for place in (data if isinstance(data, Mapping) else {}, meta):
        for key in ("classes", "CLASSES"):
            names = place.get(key)
            if isinstance(names, str):  # ("cat") where ("cat",) was meant
                return (names,)
            if names and isinstance(names, list):
                return tuple(map(str, names))
    return None


def _style(text: str, preprocess: Preprocess | None) -> dict[str, Any]:
    """Caffe's ResNet halves its maps in the first 1x1, and its weights come with BGR images that are not scaled."""
    style = re.search(r"\bstyle\s*=\s*['\"](caffe|pytorch)['\"]", text)
    if style is not None:
        return {"stride_in_3x3": style[1] == "pytorch"}
    if preprocess is not None:
        return {"stride_in_3x3": not (preprocess.channel_order == "bgr" and set(preprocess.std) == {1.0})}
    return {}


def _last(pattern: str, text: str) -> re.Match[str] | None:
    return next(reversed([*re.finditer(pattern, text)]), None)
