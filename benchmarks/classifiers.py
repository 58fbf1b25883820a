"""Speed of our classifiers against torchvision's and timm's with the same parameters, in one process, taking turns.

    python benchmarks/classifiers.py --out benchmarks/results/classifiers.json [--only resnet50] [--compile]

Inference: 8 images of 224 x 224 (Inception: 299), eager as built, and a folded copy, also in bfloat16 and, with
``--compile``, by inductor. Training: forward, cross entropy and backward of the same images. Medians of the turns.
The peer is the faster of those that have the network, each in the memory format that it is built in.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baimu import create_model
from baimu.weights.keys import load_converted
from turns import ratios, take_turns

PEERS: dict[str, dict[str, str]] = {
    "resnet18": {"torchvision": "resnet18", "timm": "resnet18"},
    "resnet50": {"torchvision": "resnet50", "timm": "resnet50"},
    "resnext50_32x4d": {"torchvision": "resnext50_32x4d", "timm": "resnext50_32x4d"},
    "res2net50_26w_4s": {"timm": "res2net50_26w_4s"},
    "resnest50": {"timm": "resnest50d"},
    "seresnet50": {"timm": "seresnet50"},
    "googlenet": {"torchvision": "googlenet"},
    "inception_v3": {"torchvision": "inception_v3", "timm": "inception_v3"},
    "inception_v4": {"timm": "inception_v4"},
    "inception_resnet_v2": {"timm": "inception_resnet_v2"},
    "mobilenet_v1": {"timm": "mobilenetv1_100"},
    "mobilenet_v2": {"torchvision": "mobilenet_v2", "timm": "mobilenetv2_100"},
    "mobilenet_v3_large": {"torchvision": "mobilenet_v3_large", "timm": "mobilenetv3_large_100"},
    "squeezenet1_1": {"torchvision": "squeezenet1_1"},
    "shufflenet_v2_x1_0": {"torchvision": "shufflenet_v2_x1_0"},
    "efficientnet_b0": {"torchvision": "efficientnet_b0", "timm": "efficientnet_b0"},
    "hrnet_w18": {"timm": "hrnet_w18"},
    "vgg16": {"torchvision": "vgg16", "timm": "vgg16"},
    "darknet53": {"timm": "darknet53"},
    "cspdarknet53": {"timm": "cspdarknet53"},
    "dla34": {"timm": "dla34"},
}
SIDES = {"inception_v3": 299, "inception_v4": 299, "inception_resnet_v2": 299}
BATCH = 8


def build_peer(library: str, name: str) -> nn.Module:
    torch.manual_seed(0)
    if library == "torchvision":
        import torchvision

        options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(name, weights=None, **options)
    import timm

    return timm.create_model(name, pretrained=False)


def with_statistics(model: nn.Module) -> nn.Module:
    """Norm statistics of a network that has seen data, so that folding them has something to do."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(1 + 0.1 * torch.rand(tensor.shape, generator=generator))
        elif name.endswith("running_mean"):
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
    return model


def images_for(name: str) -> Tensor:
    side = SIDES.get(name, 224)
    return torch.randn(BATCH, 3, side, side, generator=torch.Generator().manual_seed(1))


def models_of(name: str) -> tuple[dict[str, nn.Module], nn.Module]:
    """The peers, and ours with the parameters of the first."""
    peers = {library: with_statistics(build_peer(library, theirs)) for library, theirs in PEERS[name].items()}
    library, first = next(iter(peers.items()))
    route = importlib.import_module(f"baimu.weights.{library}").SOURCE.route(name)
    ours = create_model(name, **route.arguments)
    load_converted(ours, first.state_dict(), route)
    return peers, ours


@torch.no_grad()
def inference(name: str, turns: int, compiled: bool) -> dict[str, Any]:
    peers, ours = models_of(name)
    images = images_for(name)
    nets: dict[str, Any] = {library: net.eval() for library, net in peers.items()} | {"baimu": ours.eval()}
    nets["baimu optimized"] = ours.optimize(compile=False)
    nets["baimu bf16"] = ours.optimize(precision="bf16", compile=False)
    if compiled:
        nets["baimu compiled"] = ours.optimize(compile=True)
        nets["baimu compiled bf16"] = ours.optimize(compile=True, precision="bf16")
    expected = next(iter(peers.values()))(images)
    apart = {key: float((net(images) - expected).abs().max() / expected.abs().max()) for key, net in nets.items()}
    times = take_turns({key: (lambda net=net: net(images)) for key, net in nets.items()}, turns)
    return {"times": times, "ratios": ratios(times, fastest(times)), "largest_difference": apart}


def training(name: str, turns: int) -> dict[str, Any]:
    peers, ours = models_of(name)
    images, labels = images_for(name), torch.arange(BATCH)

    def step(net: nn.Module) -> Callable[[], None]:
        net.train()

        def run() -> None:
            logits = net(images)
            logits = logits if isinstance(logits, Tensor) else logits[0]
            nn.functional.cross_entropy(logits, labels).backward()
            net.zero_grad()

        return run

    runs = {library: step(without_auxiliary(net)) for library, net in peers.items()}
    times = take_turns(runs | {"baimu": step(ours.to(memory_format=torch.channels_last))}, turns)
    return {"times": times, "ratios": ratios(times, fastest(times))}


def without_auxiliary(net: nn.Module) -> nn.Module:
    """Our ``forward`` gives the logits alone, so theirs shall not compute more."""
    if getattr(net, "aux_logits", False):
        setattr(net, "aux_logits", False)  # noqa: B010 - modules declare no such attribute
        for name in ("aux1", "aux2", "AuxLogits"):
            if hasattr(net, name):
                setattr(net, name, None)
    return net


def fastest(times: dict[str, dict[str, float]]) -> str:
    """The fastest peer, by wall time."""
    return min((key for key in times if not key.startswith("baimu")), key=lambda key: times[key]["wall_ms"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/classifiers.json"))
    parser.add_argument("--only", choices=[*PEERS], action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="also by inductor, a minute or two a network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {
        "torch": torch.__version__,
        "threads": options.threads,
        "processor": platform.processor() or platform.machine(),
        "inference": {},
        "training": {},
    }
    for name in options.only or PEERS:
        results["inference"][name] = inference(name, options.turns, options.compile)
        results["training"][name] = training(name, max(3, options.turns // 2))
        for part in ("inference", "training"):
            shares = {key: round(value["wall_ms"], 3) for key, value in results[part][name]["ratios"].items()}
            print(name, part, shares, flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
