"""Training numbers. A method states its recipe beside its name function as a change of one of the constants here."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from baimu.errors import BaimuError, unknown

OptimizerName = Literal[
    "sgd", "nesterov", "adagrad", "adadelta", "rmsprop", "rmsprop_tf",
    "adam", "nadam", "radam", "adamax", "adamw",
]  # fmt: skip


class OptimizerNumbers(NamedTuple):
    """An optimiser's usual rate, and its own values of the fields that a recipe leaves null; ``None``: it has none."""

    lr: float
    momentum: float | None = None
    square_momentum: float | None = None
    optimizer_eps: float | None = None


OPTIMIZERS: dict[OptimizerName, OptimizerNumbers] = {
    "sgd": OptimizerNumbers(0.1, 0.9),
    "nesterov": OptimizerNumbers(0.1, 0.9),
    "adagrad": OptimizerNumbers(0.01, None, None, 1e-10),
    "adadelta": OptimizerNumbers(1.0, None, 0.95, 1e-6),
    "rmsprop": OptimizerNumbers(1e-3, 0.0, 0.9, 1e-8),
    "rmsprop_tf": OptimizerNumbers(1e-3, 0.0, 0.9, 1e-10),
    "adam": OptimizerNumbers(1e-3, 0.9, 0.999, 1e-8),
    "nadam": OptimizerNumbers(2e-3, 0.9, 0.999, 1e-8),
    "radam": OptimizerNumbers(1e-3, 0.9, 0.999, 1e-8),
    "adamax": OptimizerNumbers(2e-3, 0.9, 0.999, 1e-8),
    "adamw": OptimizerNumbers(1e-3, 0.9, 0.999, 1e-8),
}
"""Numbers of the papers; where these name none, those of torch (AdaGrad's eps) and of TensorFlow (``rmsprop_tf``)."""


class Recipe(BaseModel):
    """Everything about training that is not the network or its loss. Immutable; change it with :meth:`replace`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # length and batch
    epochs: int = Field(default=12, ge=1, description="passes over the training set")
    batch_size: int = Field(default=16, ge=1, description="images a step, over all processes and accumulation steps")
    accumulate: int = Field(
        default=1, ge=1, description="forward passes a step; the batch is split into that many parts"
    )
    images_per_identity: int = Field(
        default=1, ge=1, description="a batch is batch_size / this identities (embedding); 1: images in any order"
    )

    # optimiser
    optimizer: OptimizerName = "sgd"
    lr: float = Field(default=0.02, gt=0, description="peak rate at `lr_batch_size` images a step")
    lr_batch_size: int | None = Field(
        default=16, description="the rate scales linearly with batch_size / this; null: no scaling"
    )
    momentum: float | None = Field(
        default=None, ge=0, lt=1, description="of sgd, nesterov and rmsprop; beta 1 of adam and its kin; null: usual"
    )
    square_momentum: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="of the mean of squared gradients: beta 2 of adam, rho of adadelta, alpha of rmsprop; null: usual",
    )
    optimizer_eps: float | None = Field(default=None, gt=0, description="added to the root that divides; null: usual")
    weight_decay: float = Field(
        default=1e-4, ge=0, description="times the weight is added to its gradient; adamw takes it off the weight"
    )
    norm_decay: bool = Field(default=True, description="decay normalisation scales and biases too")
    bias_lr_factor: float = Field(default=1.0, ge=0, description="rate of convolution and linear biases, times lr")
    bias_decay: bool = Field(default=True, description="decay convolution and linear biases too")
    backbone_lr_factor: float = Field(default=1.0, ge=0, description="rate of the backbone, times lr")
    clip_norm: float | None = Field(default=None, gt=0, description="largest gradient norm")

    # penalties
    l0: float = Field(default=0.0, ge=0, description="loss a weight that a gate may leave open (hard concrete gates)")
    l0_drop: float = Field(default=0.5, gt=0, lt=1, description="share of gates that are about closed at the start")
    l1: float = Field(default=0.0, ge=0, description="loss a unit of |weight|")
    l2: float = Field(default=0.0, ge=0, description="loss a unit of weight² / 2")
    penalized: tuple[str, ...] = Field(
        default=(), description="patterns of the parameters that l0, l1, l2 mean (head.*); none: all of 2 or more dims"
    )

    # schedule
    schedule: Literal["step", "cosine", "linear", "poly", "exponential", "constant"] = "step"
    hold: float = Field(
        default=0.0, ge=0, lt=1, description="share of the whole length at the full rate before cosine or linear falls"
    )
    milestones: tuple[float, ...] = Field(
        default=(2 / 3, 11 / 12), description="of the whole length, where the rate drops"
    )
    drop: float = Field(
        default=0.1, gt=0, lt=1, description="factor of each drop; for cosine, the final share of the rate is 0"
    )
    poly_power: float = Field(default=0.9, gt=0, description="of what is left of the length (poly)")
    lr_floor: float = Field(default=0.0, ge=0, le=1, description="share of the rate at the end (poly, exponential)")
    warmup_steps: int = Field(default=500, ge=0, description="optimiser steps; cut to a tenth of a shorter run")
    warmup_start: float = Field(default=0.001, ge=0, le=1, description="share of the rate in the first step")
    warmup: Literal["linear", "constant"] = "linear"

    # input and augmentation
    resize: Literal["shortest", "letterbox", "stretch", "crop", "height", "none"] = "shortest"
    size: int = Field(
        default=800, ge=1, description="shorter side (shortest) or square (letterbox, stretch, crop), pixels"
    )
    width: int | None = Field(default=None, ge=1, description="of the input, where stretch makes no square, pixels")
    crop_share: float = Field(
        default=0.875, gt=0, le=1, description="size / shorter side before the crop to the middle (crop)"
    )
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    max_size: int = Field(default=1333, ge=1, description="longest side (shortest)")
    flip: float = Field(default=0.5, ge=0, le=1, description="probability of a horizontal flip")
    vertical_flip: float = Field(default=0.0, ge=0, le=1)
    scale_jitter: tuple[float, float] | None = Field(
        default=None, description="random factor of the size, e.g. 0.8 1.25"
    )
    crop: float = Field(default=0.0, ge=0, le=1, description="probability of a random crop of 0.6 to 1 of each side")
    color_jitter: float = Field(
        default=0.0, ge=0, le=1, description="brightness, contrast, saturation ± this; hue ± a tenth"
    )
    photometric: float = Field(
        default=0.0, ge=0, le=1, description="probability of each of SSD's distortions (1512.02325), as a rule 0.5"
    )
    mosaic: float = Field(default=0.0, ge=0, le=1, description="probability of four images in one (detectors)")
    mixup: float = Field(default=0.0, ge=0, le=1, description="probability of blending in a second image (detectors)")
    close_augment_epochs: int = Field(
        default=0, ge=0, description="last epochs without mosaic, mixup and cutmix of either kind"
    )

    crops: int = Field(default=1, ge=1, description="random crops an image and epoch (super-resolution)")

    # augmentation of classifiers
    crop_area: tuple[float, float] = Field(
        default=(0.08, 1.0), description="random resized crop: share of the area; 1 1: the image as in evaluation"
    )
    crop_ratio: tuple[float, float] = Field(default=(3 / 4, 4 / 3), description="its width / height")
    crop_padding: int = Field(default=0, ge=0, description="pixels around the input, of which a random part is taken")
    auto_augment: Literal["rand", "trivial"] | None = Field(
        default=None, description="RandAugment (1909.13719) or TrivialAugment (2103.10158)"
    )
    augment_ops: int = Field(default=2, ge=1, description="RandAugment's operations an image")
    augment_magnitude: int = Field(default=9, ge=0, le=30, description="their strength")
    random_erasing: float = Field(default=0.0, ge=0, le=1, description="probability of a filled box (1708.04896)")
    mixup_alpha: float = Field(default=0.0, ge=0, description="pairs blended, Beta(a, a) of each (1710.09412); 0: none")
    cutmix_alpha: float = Field(default=0.0, ge=0, description="boxes exchanged, likewise (1905.04899); 0: none")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="share of the label that all classes get")

    # augmentation of segmenters
    train_crop: tuple[int, int] | None = Field(
        default=None, description="height, width of the window that is cut of a training image; null: the whole image"
    )
    crop_largest_share: float = Field(
        default=1.0, gt=0, le=1, description="a window with more of one class is drawn anew, up to ten times"
    )

    # augmentation of text lines
    distortion: float = Field(
        default=0.0, ge=0, le=1, description="strength of turns, slants, shifts, blur and noise of text lines"
    )

    # pairs of single-object trackers
    pairs_per_epoch: int | None = Field(
        default=None, ge=1, description="pairs of frames drawn an epoch (trackers); null: one a frame"
    )
    frame_range: int = Field(default=100, ge=0, description="most frames between the two of a pair (trackers)")
    negative_pairs: float = Field(default=0.0, ge=0, le=1, description="share of pairs of two objects (trackers)")
    exemplar_jitter: tuple[float, float] = Field(
        default=(0.0, 0.0), description="largest shift, pixels, and change of scale, share, of the exemplar (trackers)"
    )
    search_jitter: tuple[float, float] = Field(default=(0.0, 0.0), description="likewise of the search image")
    blur: float = Field(default=0.0, ge=0, le=1, description="probability of a blurred search image (trackers)")

    # machinery
    precise_bn_batches: int = Field(
        default=0, ge=0, description="training batches whose statistics batch norm takes before an evaluation"
    )
    ema_decay: float = Field(default=0.0, ge=0, lt=1, description="0: no moving average of the weights")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = True
    compile: bool = False
    workers: int = Field(default=2, ge=0, description="data loading processes, each")
    seed: int = 0
    eval_every: int = Field(
        default=1, ge=1, description="epochs between evaluations; the last epoch is always evaluated"
    )
    save_every: int | None = Field(
        default=None, ge=1, description="also save each this many steps, not only each epoch"
    )
    patience: int | None = Field(
        default=None, ge=1, description="stop after this many evaluations without a better score"
    )

    def sizes(self) -> dict[str, Any]:
        """The fields that are :class:`~baimu.preprocess.Preprocess`'s too."""
        return self.model_dump(include={"resize", "size", "width", "max_size", "crop_share", "interpolation"})

    def replace(self, **changes: Any) -> Recipe:
        """A recipe with some fields changed; values may be text (``"0.01"``). Unknown fields offer the nearest.

        An optimiser whose usual rate is another by more than threefold needs its own ``lr`` beside it.
        """
        for key in changes:
            if key not in type(self).model_fields:
                raise unknown("recipe field", key, type(self).model_fields)
        try:
            changed = type(self).model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            raise BaimuError("recipe: " + "; ".join(map(_words, error.errors()))) from None
        usual, before = OPTIMIZERS[changed.optimizer].lr, OPTIMIZERS[self.optimizer].lr
        if "lr" not in changes and not 1 / 3 <= usual / before <= 3:
            raise BaimuError(
                f"recipe: lr={self.lr:g} was chosen for {self.optimizer}; give {changed.optimizer} its own lr "
                f"(usual: {usual:g}, not scaled: lr_batch_size=null)"
            )
        return changed

    @property
    def optimizer_numbers(self) -> OptimizerNumbers:
        """``lr`` and what the optimiser takes of the other numbers, its own where the recipe leaves them null."""
        usual = OPTIMIZERS[self.optimizer]._asdict()
        given = {key: value for key in usual if (value := getattr(self, key)) is not None}
        return OptimizerNumbers(**{**usual, **given})

    @field_validator("penalized", mode="before")
    @classmethod
    def _one_pattern(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_optimizer(self) -> Recipe:
        for key, usual in OPTIMIZERS[self.optimizer]._asdict().items():
            if usual is None and getattr(self, key) is not None:
                raise ValueError(f"{self.optimizer} has no {key}; leave it away or set {key}=null")
        if self.optimizer == "nesterov" and self.momentum == 0:
            raise ValueError("nesterov looks ahead along its momentum, so it needs some; sgd with momentum=0 is plain")
        return self


_WANTED = {
    "int": "a whole number", "float": "a number", "finite": "a finite number", "bool": "true or false",
    "tuple": "several values, such as 0.6,0.9",
}  # fmt: skip
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _words(error: Any) -> str:
    """One of pydantic's errors in our words, with what to give instead; what concerns several fields has no place."""
    message, context = error["msg"].removeprefix("Value error, "), error.get("ctx", {})
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "literal_error":
        return str(unknown(place, error["input"], re.findall(r"'(\w+)'", context["expected"])))
    wanted = _WANTED.get(error["type"].split("_")[0])
    limit = next((f"{words} {context[key]:g}" for key, words in _LIMITS.items() if key in context), wanted)
    mend = f"give {limit}" if limit else message
    return f"{place}={error['input']!r}: {mend}" if place else message


coco_1x = Recipe()
"""12 epochs, SGD 0.02 for 16 images, drops after 8 and 11, shorter side 800, flip: the schedule papers call 1x."""

imagenet_90 = Recipe(
    epochs=90,
    batch_size=256,
    lr=0.1,
    lr_batch_size=256,
    milestones=(1 / 3, 2 / 3),
    warmup_steps=0,
    resize="crop",
    size=224,
)
"""90 epochs, SGD 0.1 for 256 images, drops after 30 and 60, crops of 224 (1512.03385 §4.1)."""

cityscapes_40k = Recipe(
    epochs=108,
    batch_size=8,
    lr=0.01,
    lr_batch_size=8,
    weight_decay=5e-4,
    schedule="poly",
    lr_floor=0.01,
    warmup_steps=0,
    size=1024,
    max_size=2048,
    scale_jitter=(0.5, 2.0),
    train_crop=(512, 1024),
    crop_largest_share=0.75,
    photometric=0.5,
    eval_every=12,
)
"""40,000 steps of 8 crops of 512 x 1024, SGD 0.01 falling along a polynomial: mmsegmentation's for Cityscapes."""
