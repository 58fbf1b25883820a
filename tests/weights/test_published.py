"""From a tag to a result: published weights are fetched, recognised by their entry, loaded, and look at a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import baimu
from baimu.weights import catalog, entry
from baimu.weights.cache import digest
from baimu.weights.keys import convert_back
from baimu.weights.openmmlab import SOURCE

from .server import Server

TAG = "retinanet_r18_fpn.coco"


@pytest.fixture
def published(server: Server, cache: Path, tmp_path: Path, monkeypatch) -> torch.nn.Module:
    """A model whose parameters the server has, as OpenMMLab writes them; its entry asks for BGR."""
    torch.manual_seed(0)
    ours = baimu.create_model("retinanet_r18_fpn", p7_relu=False)
    theirs = convert_back(ours.state_dict(), SOURCE.route("retinanet_r18_fpn"))
    torch.save({"state_dict": theirs, "meta": {"epoch": 12}}, tmp_path / "saved.pth")
    sha256 = digest(tmp_path / "saved.pth")
    bgr = entry("retinanet_r50_fpn.coco_caffe").input
    url = server.put(f"/retinanet-{sha256[:8]}.pth", (tmp_path / "saved.pth").read_bytes())
    local = replace(entry(TAG), url=url, sha256=sha256[:8], input=bgr)
    monkeypatch.setattr(catalog, "_entries", lambda: {TAG: local})
    return ours


def test_a_tag_becomes_the_model_that_was_published(published: torch.nn.Module, server: Server, monkeypatch) -> None:
    model = baimu.load(TAG)
    assert model.spec is None or model.spec[0] == "retinanet_r18_fpn"
    assert not model.training
    for key, value in published.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(model.state_dict()[key], value), key
    assert model.preprocess.channel_order == "bgr"
    assert model.classes[:2] == ("person", "bicycle")
    monkeypatch.setenv("BAIMU_OFFLINE", "1")  # from here on it is in the cache
    found = baimu.predict(TAG, np.zeros((64, 80, 3), np.uint8), score_threshold=0.0)
    assert len(found) == 1
    assert found[0].names == model.classes
    assert len(server.asked) == 1
