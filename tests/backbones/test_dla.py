"""DLA-34 equals FairMOT's; a tree joins what the paper says; projections that the authors never use are left out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baimu.backbones.dla import DLA, BasicBlock, Bottleneck, Root, Tree, dla34, dla46_c
from baimu.layers.norm import batch_norm
from baimu.weights.families import dla as names
from baimu.weights.keys import renamed
from tests.layers.test_norm import noise
from tests.parity.golden import Golden, filled
from tests.parity.observe import Trace
from tests.parity.peers.filled import fill


@torch.no_grad()
def test_maps_equal_fairmot(shared: Path) -> None:
    """Levels 0 to 5 of ucbdrive's network, whose file also holds projections that it never uses."""
    golden = Golden.read(shared / "goldens/tracking/fairmot_dla34.npz")
    entries = [entry for entry in golden.meta["states"]["model"] if entry[0].startswith("base.")]
    state = {e[0].removeprefix("base."): torch.from_numpy(np.asarray(filled(*e), np.float32)) for e in entries}
    assert "level3.project.0.weight" in state
    found = {key.removeprefix("backbone."): value for key, value in renamed(state, names.DLA).items()}
    backbone = dla34(out=(1, 2, 3, 4, 5)).eval()
    backbone.load_state_dict(found)
    images = np.tanh(np.random.RandomState(0).standard_normal((2, 3, 96, 160)).astype(np.float32))
    with Trace(backbone, "level0") as trace:
        maps = backbone(torch.from_numpy(images))
    for i, x in enumerate([trace["level0"], *maps]):
        assert golden.difference(f"eval/base/{i}", x) < 1e-5


def test_projections_of_trees_of_trees_are_dropped_at_every_depth() -> None:
    """DLA-169 has trees five deep; ``tree2`` never projects."""
    used, idle = "level4.tree1.tree1.project.0.weight", ("level4.project.0.weight", "level4.tree1.project.1.bias")
    state = dict.fromkeys((used, *idle, "level4.tree1.tree1.tree1.conv1.weight"), torch.zeros(1))
    assert names.used(state).keys() == state.keys() - set(idle)


@torch.no_grad()
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("residual_root", [False, True])
def test_a_tree_of_four_blocks_is_written_out(block: type[BasicBlock] | type[Bottleneck], residual_root: bool) -> None:
    """Fig. 2f: blocks 1 and 2 have a root, blocks 3 and 4 one that also hears the first root and the pooled input."""
    torch.manual_seed(0)
    parts = {"norm": batch_norm, "act": nn.ReLU}
    root_of = partial(Root, residual=residual_root, **parts)
    tree = Tree(2, 4, 8, 2, block=partial(block, **parts), root=root_of, norm=batch_norm, hears_input=True)
    fill(tree).eval()
    state = tree.state_dict()

    def conv_bn(x: Tensor, conv: str, norm: str) -> Tensor:
        x = F.conv2d(x, state[f"{conv}.weight"])
        statistics = (state[f"{norm}.running_mean"], state[f"{norm}.running_var"])
        return F.batch_norm(x, *statistics, state[f"{norm}.weight"], state[f"{norm}.bias"])

    def root(name: str, *children: Tensor) -> Tensor:
        joined = conv_bn(torch.cat(children, 1), f"{name}.root.conv", f"{name}.root.norm")
        return (joined + (children[0] if residual_root else 0)).relu()

    x = noise(2, 4, 6, 10)
    pooled = F.max_pool2d(x, 2)
    leaf = {name: tree.get_submodule(name) for name in ("tree1.tree1", "tree1.tree2", "tree2.tree1", "tree2.tree2")}
    one = leaf["tree1.tree1"](x, conv_bn(pooled, "tree1.project.0", "tree1.project.1"))
    two = leaf["tree1.tree2"](one, one)
    first = root("tree1", two, one)
    three = leaf["tree2.tree1"](first, first)
    four = leaf["tree2.tree2"](three, three)
    torch.testing.assert_close(tree(x), root("tree2", four, three, pooled, first))


@torch.no_grad()
def test_images_of_any_size_pass() -> None:
    """The authors' network needs multiples of 32: its pooled shortcut rounds down, its convolutions up."""
    backbone = dla46_c().eval()
    for height, width in ((97, 69), (31, 33)):
        for x, stride in zip(backbone(noise(1, 3, height, width)), backbone.strides, strict=True):
            assert x.shape[2:] == (-(-height // stride), -(-width // stride))


def test_levels_beyond_the_last_map_are_not_built() -> None:
    backbone = DLA(BasicBlock, (1, 1, 1, 1), (4, 4, 8, 8, 8, 8), out=(1, 3))
    assert {name for name, _ in backbone.named_children()} == {"base_layer", "level0", "level1", "level2", "level3"}
    assert backbone.channels == (4, 8)
    assert backbone.strides == (2, 8)


def test_any_activation_is_in_every_place() -> None:
    plain, smooth = (DLA(Bottleneck, (1, 2, 1, 1), (4, 4, 8, 8, 8, 8), act=act) for act in (nn.ReLU, "mish"))
    places = [name for name, m in plain.named_modules() if isinstance(m, nn.ReLU)]
    assert places == [name for name, m in smooth.named_modules() if isinstance(m, nn.Mish)]
    assert not any(isinstance(m, nn.ReLU) for m in smooth.modules())
