"""The catalogue: its facts are those that the publishers state, its filters, the way from a tag to a checked file."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from baimu import weights, zoo
from baimu.errors import CheckpointError, DownloadError, UnknownNameError
from baimu.preprocess import Preprocess
from baimu.weights import catalog
from baimu.weights.catalog import Entry, entries, entry, fetch, is_tag, resolve, verify
from baimu.weights.outline import outline

from .server import Server

ALL = entries()
TAGS = [e.tag for e in ALL]
CLASSIFIERS = [e for e in ALL if zoo.model_info(e.name).task == "classification"]
DETECTORS = [e for e in ALL if e not in CLASSIFIERS]
CONTENT = b"parameters" * 1000
TAG = "fcos_r50_fpn.coco"


def test_every_model_with_published_figures_has_plain_weights_that_reach_them() -> None:
    """``name.coco`` is the paper's main table: what the zoo reports is what these weights score."""
    reported = {f"{info.name}.coco": info.reported for info in zoo.models() if "box_ap" in info.reported}
    assert reported == {tag: entry(tag).metrics for tag in reported if tag in TAGS}


@pytest.mark.parametrize("asked", [e for e in ALL if e.arguments], ids=lambda e: e.tag)
def test_the_arguments_build_the_model(asked: Entry) -> None:
    assert outline(asked.name, asked.arguments).two


def test_entries_are_whole() -> None:
    for e in ALL:
        assert re.fullmatch(r"[a-z0-9_]+\.(coco|imagenet)(_[a-z0-9]+)*", e.tag)
        assert re.fullmatch(r"https://[^\s?#]+\.(pth|safetensors)", e.url), e.tag
        assert re.fullmatch(r"[0-9a-f]{8,10}|[0-9a-f]{64}|", e.sha256), e.tag
        assert e.sha256 or e.url.startswith("https://huggingface.co/"), e.tag
        assert e.metrics
        assert all(0 < value < 100 for value in e.metrics.values())
        assert e.terms.keys() >= {catalog._document()["trained_on"][name]["title"] for name in e.trained_on}
        assert len(e.preprocess.mean) == len(e.preprocess.std) == 3
        count = 1000 if e in CLASSIFIERS else 80
        assert len([c for c in e.classes if not c.startswith("unused ")]) == count
        assert len(set(e.classes)) == len(e.classes)


def test_no_two_entries_share_a_file() -> None:
    for place, same in groupby(sorted(ALL, key=lambda e: str(e.path)), key=lambda e: e.path):
        assert len([*same]) == 1, place
    assert len({e.url for e in ALL}) == len(ALL)


def test_a_published_prefix_stands_in_the_publishers_file_name() -> None:
    for e in ALL:
        if e.sha256:
            assert re.search(rf"-{e.sha256[:8]}\w*\.(pth|safetensors)$", e.file), e.tag


def test_openmmlab_states_these_facts(shared: Path) -> None:
    """URL, scores and epochs of every entry are those of mmdetection's own metafiles."""
    text = (shared / "goldens" / "openmmlab_catalog.json").read_text(encoding="utf-8")
    rows = {row["weights"]: row for row in json.loads(text)["mmdet"].values() if isinstance(row.get("weights"), str)}
    own = [e for e in ALL if e.source == "openmmlab"]
    assert own
    for e in own:
        row = rows[e.url]
        stated = {key.replace(" ", "_").lower(): v for result in row["results"] for key, v in result["metrics"].items()}
        assert (e.metrics, e.config, e.epochs) == (stated, row["config"], row["epochs"]), e.tag


def test_caffe_style_follows_from_the_name_that_openmmlab_gives() -> None:
    """Blue first, and the stride in the first 1x1 convolution, which FCOS of the zoo has without being asked."""
    for e in (e for e in ALL if e.source == "openmmlab"):
        caffe = "-caffe" in e.config
        assert (e.preprocess.channel_order == "bgr") == caffe, e.tag
        assert (e.preprocess.std == (1.0, 1.0, 1.0)) == caffe, e.tag
        assert e.arguments == ({"stride_in_3x3": False} if caffe and not e.name.startswith("fcos") else {}), e.tag


def test_torchvision_states_these_facts() -> None:
    """URL, scores, size and classes are those of the weights enums of the installed torchvision."""
    from torchvision import models

    own = [e for e in ALL if e.source == "torchvision"]
    assert own
    for e in own:
        enum, _, name = e.config.partition(".")
        stated = getattr(models if e in CLASSIFIERS else models.detection, enum)[name]
        (scores,) = stated.meta["_metrics"].values()
        names = {"box_map": "box_ap", "mask_map": "mask_ap", "acc@1": "top1", "acc@5": "top5"}
        assert e.url == stated.url
        assert e.size == stated.meta["_file_size"]
        assert e.metrics == {names[key]: value for key, value in scores.items()}
        if e in CLASSIFIERS:
            assert list(e.classes) == stated.meta["categories"]
            assert e.preprocess == as_torchvision(e, stated.transforms.keywords)
        else:  # of the two-stage detectors background is not a class of ours, of the others it is one
            categories = dict(enumerate(stated.meta["categories"]))
            labels = range(0 if e.name.startswith(("retinanet", "fcos")) else 1, len(categories))
            assert list(e.classes) == [
                f"unused {i}" if categories[i] in ("__background__", "N/A") else categories[i] for i in labels
            ]


def as_torchvision(e: Entry, keywords: dict[str, Any]) -> Preprocess:
    """GoogLeNet and Inception v3 turn ImageNet's normalisation into 0.5 and 0.5 before their first layer."""
    own = {"mean": (0.5,) * 3, "std": (0.5,) * 3} if e.name in ("googlenet", "inception_v3") else {}
    mean, std = ({**IMAGENET, **keywords, **own}[key] for key in ("mean", "std"))
    size, side = keywords["crop_size"], keywords.get("resize_size", 256)
    interpolation = getattr(keywords.get("interpolation"), "value", "bilinear")
    return crops(mean, std, size, round(size / side, 6), interpolation)


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def crops(mean: Any, std: Any, size: int, share: float, interpolation: Any) -> Preprocess:
    scaled = [tuple(round(255 * x, 3) for x in values) for values in (mean, std)]
    return Preprocess(*scaled, resize="crop", size=size, pad_to=1, crop_share=share, interpolation=interpolation)


def test_every_crop_comes_from_the_side_that_was_published() -> None:
    """The share is written with six digits."""
    for e in CLASSIFIERS:
        share = e.preprocess.size / e.preprocess.crop_share
        assert abs(share - round(share)) < 1e-3 or e.source == "timm", e.tag


def test_timm_states_these_facts() -> None:
    """URL, input, licence and data are those of the configurations of the installed timm; scores are those of its
    table ``results/results-imagenet.csv``, which the package does not have."""
    models = pytest.importorskip("timm.models", reason="needs timm: pip install timm")
    licences = {
        "apache-2.0": "Apache-2.0",
        "bsd-3-clause": "BSD-3-Clause",
        "mit": "MIT",
        "cc-by-nc-4.0": "CC-BY-NC-4.0",
    }
    data = {"in21k": "imagenet_21k", "in22k": "imagenet_21k", "in12k": "imagenet_12k", "jft": "jft_300m"}
    data |= {"ig1b": "instagram_1b", "yfcc100m": "yfcc_100m"}
    own = [e for e in ALL if e.source == "timm"]
    assert own
    for e in own:
        stated = models.get_pretrained_cfg(e.config)
        hub = f"https://huggingface.co/{stated.hf_hub_id}/resolve/main/model.safetensors"
        assert e.url == (stated.url or hub), e.tag
        size, share = stated.test_input_size or stated.input_size, stated.test_crop_pct or stated.crop_pct
        assert e.preprocess == crops(stated.mean, stated.std, size[1], share, stated.interpolation), e.tag
        assert (stated.num_classes, stated.crop_mode) == (1000, "center"), e.tag
        assert e.licence == licences.get(stated.license or "", stated.license or "Apache-2.0"), e.tag
        first = [name for word, name in data.items() if word in stated.tag.split("_")]
        assert e.trained_on == (*first, "imagenet"), e.tag


def test_commercial_use_is_the_licences_answer_and_the_datas(monkeypatch) -> None:
    document = json.loads(json.dumps(catalog._document()))
    monkeypatch.setattr(catalog, "_document", lambda: document)
    licence, data = document["licences"]["Apache-2.0"], document["trained_on"]
    for allowed, coco, imagenet, answer in (
        (True, True, True, True),
        (True, None, True, None),
        (True, True, None, None),
        (False, True, True, False),
        (False, None, None, False),
        (None, True, True, None),
    ):
        licence["commercial"], data["coco"]["commercial"], data["imagenet"]["commercial"] = allowed, coco, imagenet
        assert entry(TAG).commercial is answer
        assert (entry(TAG) in entries(commercial={True: "yes", False: "no", None: "unknown"}[answer])) is True


def test_nothing_of_the_catalogue_is_called_allowed_that_imagenet_or_coco_leave_open() -> None:
    assert entries(commercial="yes") == []
    assert {e.licence for e in entries(commercial="no")} == {"CC-BY-NC-4.0"}
    assert sorted(entries(commercial="no") + entries(commercial="unknown"), key=lambda e: e.tag) == ALL


def test_filters() -> None:
    assert [e.tag for e in entries("fcos_r50*")] == ["fcos_r50_fpn.coco", "fcos_r50_fpn.coco_ms_2x"]
    assert {e.name for e in entries(model="retinanet_r50_fpn")} == {"retinanet_r50_fpn"}
    assert {e.source for e in entries(source="torchvision")} == {"torchvision"}
    assert {e.source for e in entries(licence="Apache-2.0")} == {"openmmlab", "detr", "timm"}
    assert entries("retinanet*", licence="BSD-3-Clause") == [entry("retinanet_r50_fpn.coco_torchvision")]
    assert entries(model="fcos_r18_fpn") == [], "a model of the zoo that nobody has published weights of"
    assert sorted(TAGS) == TAGS


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"model": "fcos_r50"}, "unknown model 'fcos_r50'. Did you mean fcos_r50_fpn"),
        ({"source": "mmdet"}, "unknown source of weights 'mmdet'"),
        ({"licence": "Apache"}, "unknown licence 'Apache'. Did you mean Apache-2.0"),
        ({"commercial": "maybe"}, "unknown answer for commercial 'maybe'"),
    ],
)
def test_a_filter_that_nothing_can_pass_is_an_error(filters: Any, message: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        entries(**filters)


@pytest.mark.parametrize("ask", [entry, resolve, fetch, verify])
def test_an_unknown_tag_offers_the_nearest(ask: Any) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown weights 'fcos_r50_fpn\.cocoo'\. Did you mean fcos_r50_fpn\.coco"
    ):
        ask("fcos_r50_fpn.cocoo")


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        (TAG, True),
        ("resnet50.imagenet", True),
        ("fcos_r50_fpn.cocoo", True),
        ("fcos_r18_fpn.coco", True),
        ("fcos_r50_fpn", False),
        ("fcos_r50_fpn.", False),
        ("fcos_r50_fpn.pth", False),
        ("best.safetensors", False),
        ("runs/fcos_r50_fpn.coco", False),
        ("my.model", False),
    ],
)
def test_what_asks_for_published_weights(text: str, asks: bool) -> None:
    assert is_tag(text) is asks


def test_the_package_offers_the_verbs() -> None:
    assert weights.__all__ == ["Entry", "Verified", "entries", "entry", "fetch", "resolve", "verify"]
    assert weights.resolve is resolve


@pytest.fixture
def published(server: Server, cache: Path, monkeypatch) -> Entry:
    """The entry of ``TAG`` with a file that the server has."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()[:8]
    url = server.put(f"/fcos-{sha256}.pth", CONTENT)
    local = replace(entry(TAG), url=url, sha256=sha256)
    monkeypatch.setattr(catalog, "_entries", lambda: {TAG: local})
    return local


def test_a_tag_is_fetched_once_into_the_cache(published: Entry, server: Server, cache: Path, capsys) -> None:
    assert verify(TAG) == [(TAG, "absent", published.path, None)]
    assert verify() == []
    path = resolve(TAG)
    assert path == cache / "openmmlab" / published.file
    assert path.read_bytes() == CONTENT
    assert resolve(TAG) == fetch(TAG) == path
    assert len(server.asked) == 1
    assert verify() == verify(TAG) == [(TAG, "right", path, hashlib.sha256(CONTENT).hexdigest())]
    shown = capsys.readouterr()
    assert f"{published.file}: 0.0 of 0.0 MiB" in shown.err
    assert shown.out == ""


def test_a_file_put_there_by_hand_is_taken_after_its_hash_fits(published: Entry, monkeypatch) -> None:
    monkeypatch.setenv("BAIMU_OFFLINE", "1")
    published.path.parent.mkdir(parents=True)
    published.path.write_bytes(CONTENT)
    assert resolve(TAG) == published.path


def test_a_damaged_file_is_not_used_until_it_is_fetched_again(published: Entry) -> None:
    published.path.parent.mkdir(parents=True)
    published.path.write_bytes(CONTENT[:-1])
    with pytest.raises(
        CheckpointError, match=rf"{published.path}: is not the file .* fetch it again: baimu weights fetch {TAG}"
    ):
        resolve(TAG)
    assert verify()[0].state == "wrong"
    assert fetch(TAG).read_bytes() == CONTENT
    assert verify()[0].state == "right"


def test_what_nobody_published_a_hash_of_is_used_and_said_to_be_unknown(published: Entry, monkeypatch) -> None:
    bare = replace(published, sha256="")
    monkeypatch.setattr(catalog, "_entries", lambda: {TAG: bare})
    assert resolve(TAG).read_bytes() == CONTENT
    assert fetch(TAG) == bare.path
    assert verify(TAG) == [(TAG, "unknown", bare.path, hashlib.sha256(CONTENT).hexdigest())]


def test_files_of_one_name_lie_apart(cache: Path) -> None:
    """Hugging Face's are all called model.safetensors."""
    assert entry("hrnet_w18.imagenet").path == cache / "timm" / "hrnet_w18.ms_in1k" / "model.safetensors"


def test_a_download_that_was_cut_off_is_unfinished(published: Entry) -> None:
    published.path.parent.mkdir(parents=True)
    published.path.with_name(f"{published.file}.part").write_bytes(b"para")
    assert verify() == [(TAG, "unfinished", published.path, None)]


def test_offline_no_socket_is_opened_and_the_message_says_what_to_do(
    published: Entry, server: Server, monkeypatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        pytest.fail("the network was touched")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("socket", "create_connection", "getaddrinfo"):
            patch.setattr(socket, name, forbidden)
        patch.setenv("BAIMU_OFFLINE", "1")
        errors = []
        for ask in (resolve, fetch):
            with pytest.raises(DownloadError, match="BAIMU_OFFLINE forbids the network") as error:
                ask(TAG)
            errors.append(error)
        assert verify(TAG)[0].state == "absent"
    for error in errors:
        assert str(error.value).splitlines()[1:] == [
            "To get it without this machine's network:",
            f"  fetch   {published.url}",
            f"  put it  {published.path}",
            f"  check   baimu weights verify {TAG}   (sha256 {published.sha256}…)",
        ]
    assert server.asked == []


def test_the_sockets_that_are_blocked_are_those_that_a_download_uses(published: Entry, monkeypatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    with pytest.raises(AssertionError, match="the network was touched"):
        resolve(TAG)


def test_a_server_that_fails_leaves_the_way_by_hand(published: Entry, server: Server) -> None:
    server.plans.clear()
    with pytest.raises(DownloadError, match=rf"the server answered 404 (?s:.*)put it  {published.path}"):
        resolve(TAG)


def test_a_cache_that_only_can_be_read_is_enough(published: Entry, monkeypatch) -> None:
    published.path.parent.mkdir(parents=True)
    published.path.write_bytes(CONTENT)
    published.path.parent.chmod(0o555)
    before = sorted(published.path.parent.iterdir()), published.path.parent.stat().st_mtime_ns
    assert resolve(TAG) == fetch(TAG) == published.path
    assert verify(TAG)[0].state == "right"
    assert (sorted(published.path.parent.iterdir()), published.path.parent.stat().st_mtime_ns) == before
