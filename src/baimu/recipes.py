"""Training numbers. A method states its recipe beside its name function as a change of one of the constants here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from baimu.errors import BaimuError, unknown


class Recipe(BaseModel):
    """Everything about training that is not the network or its loss. Immutable; change it with :meth:`replace`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # length and batch
    epochs: int = Field(default=12, ge=1, description="passes over the training set")
    batch_size: int = Field(default=16, ge=1, description="images a step, over all processes and accumulation steps")
    accumulate: int = Field(
        default=1, ge=1, description="forward passes a step; the batch is split into that many parts"
    )

    # optimiser
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(default=0.02, gt=0, description="peak rate at `lr_batch_size` images a step")
    lr_batch_size: int | None = Field(
        default=16, description="the rate scales linearly with batch_size / this; null: no scaling"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="SGD momentum, or Adam's beta 1")
    weight_decay: float = Field(default=1e-4, ge=0)
    norm_decay: bool = Field(default=True, description="decay normalisation scales and biases too")
    bias_lr_factor: float = Field(default=1.0, ge=0, description="rate of convolution and linear biases, times lr")
    bias_decay: bool = Field(default=True, description="decay convolution and linear biases too")
    backbone_lr_factor: float = Field(default=1.0, ge=0, description="rate of the backbone, times lr")
    clip_norm: float | None = Field(default=None, gt=0, description="largest gradient norm")

    # schedule
    schedule: Literal["step", "cosine", "constant"] = "step"
    milestones: tuple[float, ...] = Field(
        default=(2 / 3, 11 / 12), description="of the whole length, where the rate drops"
    )
    drop: float = Field(
        default=0.1, gt=0, lt=1, description="factor of each drop; for cosine, the final share of the rate is 0"
    )
    warmup_steps: int = Field(default=500, ge=0, description="optimiser steps; cut to a tenth of a shorter run")
    warmup_start: float = Field(default=0.001, ge=0, le=1, description="share of the rate in the first step")
    warmup: Literal["linear", "constant"] = "linear"

    # input and augmentation
    resize: Literal["shortest", "letterbox", "stretch", "none"] = "shortest"
    size: int = Field(default=800, ge=1, description="shorter side (shortest) or square (letterbox, stretch), pixels")
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
    mosaic: float = Field(default=0.0, ge=0, le=1, description="probability of four images in one")
    mixup: float = Field(default=0.0, ge=0, le=1, description="probability of blending in a second image")
    close_augment_epochs: int = Field(default=0, ge=0, description="last epochs without mosaic and mixup")

    # machinery
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

    def replace(self, **changes: Any) -> Recipe:
        """A recipe with some fields changed; values may be text (``"0.01"``). Unknown fields offer the nearest."""
        for key in changes:
            if key not in type(self).model_fields:
                raise unknown("recipe field", key, type(self).model_fields)
        try:
            return type(self).model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc']))}={e['input']!r}: {e['msg']}" for e in error.errors()]
            raise BaimuError("recipe: " + "; ".join(lines)) from None


coco_1x = Recipe()
"""12 epochs, SGD 0.02 for 16 images, drops after 8 and 11, shorter side 800, flip: the schedule papers call 1x."""
