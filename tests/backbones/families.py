"""The families of backbones: each variant with its size and the networks of other libraries that it must equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Peer(NamedTuple):
    """A network of ``library`` that computes the same; ``taps`` are its modules whose outputs are our levels' maps
    (``module#2``: of its third call)."""

    library: str
    name: str
    taps: Mapping[int, str]
    options: Mapping[str, object] = {}  # of the library's builder


class Row(NamedTuple):
    """A name of the catalogue: ``parameters`` with 1000 classes; ``smallest`` marks the variant of its family that is
    checked in full; ``side`` is a small input that all its levels can be made from; ``options`` make the checks in
    full cheaper. Sides must be a ``multiple`` for peers whose branches else differ in size. ``idle`` matches
    parameters that a batch norm behind them takes back."""

    name: str
    parameters: int
    peers: tuple[Peer, ...] = ()
    smallest: bool = False
    side: int = 64
    options: Mapping[str, Any] = {}
    multiple: int = 1
    idle: str | None = None


def both(name: str, taps: Mapping[int, str]) -> tuple[Peer, ...]:
    """torchvision and timm have it, under our name and with the same modules."""
    return Peer("torchvision", name, taps), Peer("timm", name, taps)


LAYERS = {2: "layer1", 3: "layer2", 4: "layer3", 5: "layer4"}


def resnets(depth: int) -> tuple[Peer, ...]:
    """transformers has it as well."""
    taps = {level: f"resnet.encoder.stages.{level - 2}" for level in LAYERS}
    return *both(f"resnet{depth}", LAYERS), Peer("transformers", f"resnet-{depth}", taps)


def timm(name: str, **options: object) -> tuple[Peer, ...]:
    """timm alone has it, as one of its ResNets."""
    return (Peer("timm", name, LAYERS, options),)


MIXED = {2: "Conv2d_4a_3x3", 3: "Mixed_5d", 4: "Mixed_6e", 5: "Mixed_7c"}
WITHOUT_AUXILIARY = {"aux_logits": False, "init_weights": False}
BLOCKS = {2: "blocks.1", 3: "blocks.2", 4: "blocks.4", 5: "blocks.6"}  # timm's rows of MobileNets and EfficientNets
SLIM = {2: "blocks.1", 3: "blocks.2", 4: "blocks.3", 5: "blocks.4"}
SMALL = {2: "blocks.0", 3: "blocks.1", 4: "blocks.3", 5: "blocks.5"}
STAGES = {2: "maxpool", 3: "stage2", 4: "stage3", 5: "stage4"}


def features(levels: Mapping[int, int]) -> dict[int, str]:
    """torchvision's numbered layers."""
    return {level: f"features.{number}" for level, number in levels.items()}


def efficient(scale: int) -> tuple[Peer, ...]:
    return (
        Peer("torchvision", f"efficientnet_b{scale}", features({2: 2, 3: 3, 4: 5, 5: 7})),
        Peer("timm", f"efficientnet_b{scale}", BLOCKS),
    )


def hrnet(name: str, parameters: int, **options: Any) -> Row:
    """Its branches come out of the last exchange's one ReLU, fine to coarse; biases of the head stand before norms."""
    modules = {"hrnet_w18_small": 1, "hrnet_w18_small_v2": 2}.get(name, 3)
    taps = {level: f"stage4.{modules - 1}.fuse_act#{level - 2}" for level in range(2, 6)}
    idle = r"^head\.(downsamp_modules\.\d|final_layer)\.0\.bias$"
    return Row(name, parameters, (Peer("timm", name, taps),), multiple=32, idle=idle, **options)


TREES = {2: "level2", 3: "level3", 4: "level4", 5: "level5"}
DARK = {3: "stages.2", 4: "stages.3", 5: "stages.4"}


def dla(name: str, parameters: int, **options: Any) -> Row:
    return Row(name, parameters, (Peer("timm", name, TREES),), multiple=32, **options)


ROWS = (
    # ResNet, ResNeXt, Wide ResNet
    Row("resnet18", 11_689_512, resnets(18), smallest=True),
    Row("resnet34", 21_797_672, resnets(34)),
    Row("resnet50", 25_557_032, resnets(50)),
    Row("resnet101", 44_549_160, resnets(101)),
    Row("resnet152", 60_192_808, resnets(152)),
    Row("resnext50_32x4d", 25_028_904, both("resnext50_32x4d", LAYERS)),
    Row("resnext101_32x4d", 44_177_704, (Peer("timm", "resnext101_32x4d", LAYERS),)),
    Row("resnext101_32x8d", 88_791_336, both("resnext101_32x8d", LAYERS)),
    Row("resnext101_64x4d", 83_455_272, both("resnext101_64x4d", LAYERS)),
    Row("wide_resnet50_2", 68_883_240, both("wide_resnet50_2", LAYERS)),
    Row("wide_resnet101_2", 126_886_696, (Peer("torchvision", "wide_resnet101_2", LAYERS),)),
    # ResNet with other stems and shortcuts; timm has no 18-C, but can build it
    Row("resnet18_v1c", 11_708_744, timm("resnet18d", avg_down=False)),
    Row("resnet50_v1c", 25_576_264, timm("resnet50c")),
    Row("resnet101_v1c", 44_568_392, timm("resnet101c")),
    Row("resnet152_v1c", 60_212_040, timm("resnet152c")),
    Row("resnet18_v1d", 11_708_744, timm("resnet18d"), smallest=True),
    Row("resnet34_v1d", 21_816_904, timm("resnet34d")),
    Row("resnet50_v1d", 25_576_264, timm("resnet50d")),
    Row("resnet101_v1d", 44_568_392, timm("resnet101d")),
    Row("resnet152_v1d", 60_212_040, timm("resnet152d")),
    Row("resnet50_v1s", 25_680_808, timm("resnet50s")),
    Row("resnet101_v1s", 44_672_936, timm("resnet101s")),
    Row("resnet152_v1s", 60_316_584, timm("resnet152s")),
    # SENet
    Row("seresnet50", 28_088_024, timm("seresnet50"), smallest=True),
    Row("seresnet50_caffe", 28_088_024, timm("legacy_seresnet50"), smallest=True),
    Row("seresnet101", 49_326_872, timm("seresnet101")),
    Row("seresnet101_caffe", 49_326_872, timm("legacy_seresnet101")),
    Row("seresnet152", 66_821_848, timm("seresnet152")),
    Row("seresnet152_caffe", 66_821_848, timm("legacy_seresnet152")),
    Row("seresnext50_32x4d", 27_559_896, timm("seresnext50_32x4d")),
    Row("seresnext50_32x4d_caffe", 27_559_896, timm("legacy_seresnext50_32x4d")),
    Row("seresnext101_32x4d", 48_955_416, timm("seresnext101_32x4d")),
    Row("seresnext101_32x4d_caffe", 48_955_416, timm("legacy_seresnext101_32x4d")),
    Row("senet154", 115_088_984, timm("senet154")),
    Row("senet154_caffe", 115_088_984, timm("legacy_senet154")),
    # Res2Net
    Row("res2net50_26w_4s", 25_699_120, timm("res2net50_26w_4s"), smallest=True),
    Row("res2net50_48w_2s", 25_287_304, timm("res2net50_48w_2s")),
    Row("res2net50_14w_8s", 25_059_816, timm("res2net50_14w_8s")),
    Row("res2net50_26w_6s", 37_051_448, timm("res2net50_26w_6s")),
    Row("res2net50_26w_8s", 48_403_776, timm("res2net50_26w_8s")),
    Row("res2net101_26w_4s", 45_206_688, timm("res2net101_26w_4s")),
    Row("res2next50", 24_671_464, timm("res2next50")),
    Row("res2net50_v1d_26w_4s", 25_718_352, timm("res2net50d")),
    Row("res2net101_v1d_26w_4s", 45_225_920, timm("res2net101d")),
    # ResNeSt
    Row("resnest14", 10_611_688, timm("resnest14d"), smallest=True, idle=r"\.fc1\.bias$"),
    Row("resnest26", 17_069_448, timm("resnest26d")),
    Row("resnest50", 27_483_240, timm("resnest50d")),
    Row("resnest101", 48_275_016, timm("resnest101e")),
    Row("resnest200", 70_201_544, timm("resnest200e")),
    Row("resnest269", 110_929_480, timm("resnest269e")),
    Row("resnest50_4s2x40d", 30_417_592, timm("resnest50d_4s2x40d")),
    Row("resnest50_1s4x24d", 25_677_000, timm("resnest50d_1s4x24d")),
    # GoogLeNet, Inception, with auxiliary heads where they have them
    Row(
        "googlenet",
        13_004_888,
        (
            Peer(
                "torchvision",
                "googlenet",
                {2: "conv3", 3: "inception3b", 4: "inception4e", 5: "inception5b"},
                WITHOUT_AUXILIARY,
            ),
        ),
        smallest=True,
    ),
    Row(
        "inception_v3",
        27_161_264,
        (Peer("torchvision", "inception_v3", MIXED, WITHOUT_AUXILIARY), Peer("timm", "inception_v3", MIXED)),
        side=107,
    ),
    Row(
        "inception_v4",
        42_679_816,
        (Peer("timm", "inception_v4", features({2: 3, 3: 9, 4: 17, 5: 21})),),
        side=107,
    ),
    Row(
        "inception_resnet_v2",
        55_843_464,
        (Peer("timm", "inception_resnet_v2", {2: "conv2d_4a", 3: "repeat", 4: "repeat_1", 5: "conv2d_7b"}),),
        side=107,
    ),
    # SqueezeNet
    Row(
        "squeezenet1_0",
        1_248_424,
        (Peer("torchvision", "squeezenet1_0", features({2: 5, 3: 10, 4: 12})),),
    ),
    Row(
        "squeezenet1_1",
        1_235_496,
        (Peer("torchvision", "squeezenet1_1", features({2: 4, 3: 7, 4: 12})),),
        smallest=True,
    ),
    # VGG
    Row("vgg11", 132_863_336, both("vgg11", {}), smallest=True, options={"hidden": 32}),
    Row("vgg13", 133_047_848, both("vgg13", {})),
    Row("vgg16", 138_357_544, both("vgg16", {})),
    Row("vgg19", 143_667_240, both("vgg19", {})),
    Row("vgg11_bn", 132_868_840, both("vgg11_bn", {})),
    Row("vgg13_bn", 133_053_736, both("vgg13_bn", {})),
    Row("vgg16_bn", 138_365_992, both("vgg16_bn", {})),
    Row("vgg19_bn", 143_678_248, both("vgg19_bn", {})),
    # MobileNet, ShuffleNet, EfficientNet
    Row("mobilenet_v1", 4_231_976, (Peer("timm", "mobilenetv1_100", SLIM),), smallest=True),
    Row("mobilenet_v1_x0_75", 2_585_560),
    Row("mobilenet_v1_x0_5", 1_331_592),
    Row("mobilenet_v1_x0_25", 470_072),
    Row(
        "mobilenet_v2",
        3_504_872,
        (
            Peer("torchvision", "mobilenet_v2", features({2: 3, 3: 6, 4: 13, 5: 17})),
            Peer("timm", "mobilenetv2_100", BLOCKS),
        ),
        smallest=True,
    ),
    Row("mobilenet_v2_x0_35", 1_677_128, (Peer("timm", "mobilenetv2_035", BLOCKS),)),
    Row("mobilenet_v2_x0_5", 1_968_680, (Peer("timm", "mobilenetv2_050", BLOCKS),)),
    Row("mobilenet_v2_x0_75", 2_636_424, (Peer("timm", "mobilenetv2_075", BLOCKS),)),
    Row("mobilenet_v2_x1_4", 6_108_776, (Peer("timm", "mobilenetv2_140", BLOCKS),)),
    Row(
        "mobilenet_v3_large",
        5_483_032,
        (
            Peer("torchvision", "mobilenet_v3_large", features({2: 3, 3: 6, 4: 12, 5: 16})),
            Peer("timm", "mobilenetv3_large_100", BLOCKS),
        ),
    ),
    Row("mobilenet_v3_large_x0_75", 3_993_528, (Peer("timm", "mobilenetv3_large_075", BLOCKS),)),
    Row(
        "mobilenet_v3_small",
        2_542_856,
        (
            Peer("torchvision", "mobilenet_v3_small", features({2: 1, 3: 3, 4: 8, 5: 12})),
            Peer("timm", "mobilenetv3_small_100", SMALL),
        ),
        smallest=True,
    ),
    Row("mobilenet_v3_small_x0_75", 2_041_872, (Peer("timm", "mobilenetv3_small_075", SMALL),)),
    Row("shufflenet_v1_x0_5", 717_324, smallest=True),
    Row("shufflenet_v1_x1_0", 1_864_728),
    Row("shufflenet_v1_x1_5", 3_441_168),
    Row("shufflenet_v1_x2_0", 5_449_776),
    Row("shufflenet_v1_g8_x0_5", 1_010_448),
    Row("shufflenet_v1_g8_x1_0", 2_433_768),
    Row("shufflenet_v1_g8_x1_5", 4_268_952),
    Row("shufflenet_v1_g8_x2_0", 6_521_232),
    Row("shufflenet_v2_x0_5", 1_366_792, (Peer("torchvision", "shufflenet_v2_x0_5", STAGES),), smallest=True),
    Row("shufflenet_v2_x1_0", 2_278_604, (Peer("torchvision", "shufflenet_v2_x1_0", STAGES),)),
    Row("shufflenet_v2_x1_5", 3_503_624, (Peer("torchvision", "shufflenet_v2_x1_5", STAGES),)),
    Row("shufflenet_v2_x2_0", 7_393_996, (Peer("torchvision", "shufflenet_v2_x2_0", STAGES),)),
    Row("efficientnet_b0", 5_288_548, efficient(0), smallest=True),
    Row("efficientnet_b1", 7_794_184, efficient(1)),
    Row("efficientnet_b2", 9_109_994, efficient(2)),
    Row("efficientnet_b3", 12_233_232, efficient(3)),
    Row("efficientnet_b4", 19_341_616, efficient(4)),
    Row("efficientnet_b5", 30_389_784, efficient(5)),
    Row("efficientnet_b6", 43_040_704, efficient(6)),
    Row("efficientnet_b7", 66_347_960, efficient(7)),
    Row("tf_efficientnet_b0", 5_288_548, (Peer("timm", "tf_efficientnet_b0", BLOCKS),)),
    Row("tf_efficientnet_b1", 7_794_184, (Peer("timm", "tf_efficientnet_b1", BLOCKS),)),
    Row("tf_efficientnet_b2", 9_109_994, (Peer("timm", "tf_efficientnet_b2", BLOCKS),)),
    Row("tf_efficientnet_b3", 12_233_232, (Peer("timm", "tf_efficientnet_b3", BLOCKS),)),
    Row("tf_efficientnet_b4", 19_341_616, (Peer("timm", "tf_efficientnet_b4", BLOCKS),)),
    Row("tf_efficientnet_b5", 30_389_784, (Peer("timm", "tf_efficientnet_b5", BLOCKS),)),
    Row("tf_efficientnet_b6", 43_040_704, (Peer("timm", "tf_efficientnet_b6", BLOCKS),)),
    Row("tf_efficientnet_b7", 66_347_960, (Peer("timm", "tf_efficientnet_b7", BLOCKS),)),
    # HRNet
    hrnet("hrnet_w18_small", 13_187_464, smallest=True),
    hrnet("hrnet_w18_small_v2", 15_597_464),
    hrnet("hrnet_w18", 21_299_004),
    hrnet("hrnet_w30", 37_712_220),
    hrnet("hrnet_w32", 41_232_680),
    hrnet("hrnet_w40", 57_557_160),
    hrnet("hrnet_w44", 67_064_984),
    hrnet("hrnet_w48", 77_469_864),
    hrnet("hrnet_w64", 128_059_944),
    # DLA
    dla("dla34", 15_742_104, smallest=True),
    dla("dla46_c", 1_301_400, smallest=True),
    dla("dla46x_c", 1_068_440),
    dla("dla60x_c", 1_319_832),
    dla("dla60", 22_036_632),
    dla("dla60x", 17_352_344),
    dla("dla102", 33_268_888),
    dla("dla102x", 26_309_272),
    dla("dla102x2", 41_282_200),
    dla("dla169", 53_389_720),
    # Darknet
    Row("darknet19", 20_842_376),
    Row("darknet53", 41_609_928, (Peer("timm", "darknet53", DARK),)),
    Row("cspdarknet53", 27_642_184, (Peer("timm", "cspdarknet53", DARK),), smallest=True),
)
BY_NAME = {row.name: row for row in ROWS}
