"""Models of every task that are as small as they can be, whose answers differ from image to image."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from baimu.classification.classifier import Classifier
from baimu.detection.detr import DETR
from baimu.detection.faster_rcnn import BoxHead, FasterRCNN
from baimu.detection.retinanet import RetinaHead, RetinaNet
from baimu.embedding.arcface import arcface
from baimu.generation.cyclegan import cyclegan
from baimu.instance_segmentation.mask_rcnn import MaskHead, MaskRCNN
from baimu.layers.conv import ConvNorm
from baimu.layers.norm import batch_norm
from baimu.layers.transformer import Decoder, Encoder
from baimu.necks.fpn import FPN
from baimu.preprocess import Preprocess
from baimu.semantic_segmentation.pspnet import PSPHead
from baimu.semantic_segmentation.segmenter import Segmenter
from baimu.semantic_segmentation.unet import PointHead
from baimu.text.crnn import CRNN
from baimu.zoo import create_model

FREE = Preprocess(resize="shortest", size=64, max_size=112, pad_to=32)
SQUARE = Preprocess(resize="crop", size=64)


def seeded(make: Callable[..., Any]) -> Callable[..., Any]:
    """``make`` with the same weights at every call."""

    @functools.wraps(make)
    def seed_and_make(*arguments: Any, **options: Any) -> Any:
        torch.manual_seed(0)
        return make(*arguments, **options)

    return seed_and_make


class Stride8(nn.Module):
    """Maps of 16 channels and of strides 8, 16 and 32."""

    dropout = 0.0

    def __init__(self, levels: int = 3) -> None:
        super().__init__()
        self.channels, self.strides = (16,) * levels, (8, 16, 32)[:levels]
        self.stem = ConvNorm(3, 16, 5, stride=4, norm=batch_norm)
        self.stages = nn.ModuleList(ConvNorm(16, 16, stride=2, norm=batch_norm) for _ in range(levels))

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def make_head(self, num_classes: int, dropout: float) -> nn.Module:
        class Head(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear = nn.Linear(16, num_classes)

            def forward(self, maps: list[Tensor]) -> Tensor:
                return self.linear(maps[-1].mean((2, 3)))

        return Head()

    def auxiliary_heads(self, num_classes: int) -> nn.ModuleDict:
        return nn.ModuleDict()


@seeded
def classifier(preprocess: Preprocess = SQUARE, **options: Any) -> Any:
    model: Any = Classifier(Stride8(), num_classes=4, **options)  # pyright: ignore[reportArgumentType]
    model.preprocess = preprocess
    nn.init.normal_(model.head.linear.weight)
    return settled(model)


@seeded
def detector(**options: Any) -> Any:
    model = retinanet(3, **options)
    model.classes = ("bolt", "nut", "washer")
    return found_everywhere(model, model.head.classify)


def retinanet(num_classes: int, **options: Any) -> RetinaNet:
    backbone = Stride8(2)
    head = RetinaHead(16, 9, num_classes, depth=1)
    return RetinaNet(backbone, FPN(backbone, 16), num_classes=num_classes, head=head, candidates=100, **options)


@seeded
def two_stage(**options: Any) -> Any:
    backbone = Stride8(2)
    head = BoxHead(16, 3, hidden=32)
    model = FasterRCNN(backbone, FPN(backbone, 16), num_classes=3, head=head, test_proposals=(60, 20), **options)
    return found_everywhere(model, model.rpn.objectness, model.head.classify)


@seeded
def with_masks() -> Any:
    backbone = Stride8(2)
    model = MaskRCNN(
        backbone,
        FPN(backbone, 16),
        num_classes=3,
        head=BoxHead(16, 3, hidden=32),
        mask_head=MaskHead(16, 3, depth=1),
        test_proposals=(60, 20),
        max_detections=12,
    )
    return found_everywhere(model, model.rpn.objectness, model.head.classify)


@seeded
def query_detector() -> Any:
    model = DETR(
        Stride8(1), Encoder(16, 1, heads=2, hidden=32), Decoder(16, 1, heads=2, hidden=32), num_classes=3, queries=8
    )
    model = found_everywhere(model, model.head.classify)
    model.preprocess = FREE.replace(pad_to=1)
    return model


@seeded
def segmenter() -> Any:
    model: Any = Segmenter(Stride8(1), PointHead(16, 3), num_classes=3)
    nn.init.normal_(model.head.classify.weight)
    model.preprocess = FREE
    return settled(model)


@seeded
def pyramid() -> Any:
    """Means of grids that do not come out even."""
    model: Any = Segmenter(Stride8(1), PSPHead(16, 6, 3, norm=nn.BatchNorm2d), num_classes=3)
    nn.init.normal_(model.head.classify.weight)
    model.preprocess = FREE
    return settled(model)


@seeded
def embedder() -> Any:
    model = arcface(Stride8(1), 3, size=None, dim=8)
    model.preprocess = FREE
    return settled(model)


@seeded
def reader() -> Any:
    class Columns(nn.Module):
        """Lines of 32 pixels to columns of 16 channels, four pixels each."""

        channels = 16

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 16, (32, 5), stride=(1, 4), padding=(0, 4))

        def forward(self, images: Tensor, widths: Tensor | None = None) -> Tensor:
            return self.conv(images)[:, :, 0].relu()

    model: Any = CRNN(Columns(), num_classes=5, hidden=8)  # pyright: ignore[reportArgumentType]
    return model.eval()


@seeded
def translator() -> Any:
    model = cyclegan(blocks=1, width=4)
    model.preprocess = model.preprocess.replace(size=48)
    return model.eval()


@seeded
def enlarger() -> Any:
    return create_model("srresnet", depth=1, width=8).eval()


@seeded
def teller() -> Any:
    return create_model("textcnn", vocabulary=50, dim=8).eval()


@seeded
def follower() -> Any:
    return settled(create_model("siamfc_alexnet", width=0.25))


def found_everywhere(model: Any, *layers: nn.Module) -> Any:
    """With scores that differ from place to place."""
    for layer in layers:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        nn.init.normal_(layer.weight, std=0.5)
        nn.init.constant_(layer.bias, -1.0)
    model.score_threshold, model.preprocess = 0.02, FREE
    return settled(model)


@torch.no_grad()
def settled(model: Any) -> Any:
    """In evaluation mode, with norms that have seen noise, so that what is shown decides what is said."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    shapes = [(127, 127), (255, 255)] if model.task == "tracking" else [(96, 96)]
    model.train()(*(model.preprocess.normalize(torch.randint(0, 256, (4, 3, *shape))) for shape in shapes))
    return model.eval()


MODELS: dict[str, Callable[[], Any]] = {
    "classifier": classifier,
    "detector": detector,
    "two_stage": two_stage,
    "with_masks": with_masks,
    "query_detector": query_detector,
    "segmenter": segmenter,
    "embedder": embedder,
    "reader": reader,
    "translator": translator,
    "enlarger": enlarger,
    "teller": teller,
    "follower": follower,
}
