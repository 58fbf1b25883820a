"""Pictures made of images: in tiles as in one, at the source's size, of the domain that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from baimu.errors import BaimuError, UnknownNameError
from baimu.inference.saving import save_predictions
from baimu.inference.tiling import tiled
from baimu.results import Picture
from baimu.zoo import create_model


def photo(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def enlarger() -> Any:
    torch.manual_seed(0)
    model = create_model("msrresnet", scale=2, width=8, depth=2)
    for parameter in model.parameters():
        parameter.data *= 5  # so that all of its reach matters
    return model.eval()


@pytest.mark.parametrize(("height", "width", "tile"), [(70, 45, 20), (64, 64, 32), (33, 90, 90), (25, 26, 24)])
def test_tiles_with_enough_around_them_are_the_whole(enlarger: Any, height: int, width: int, tile: int) -> None:
    images = torch.rand(2, 3, height, width)
    with torch.no_grad():
        whole = enlarger(images)
        found = tiled(enlarger, images, tile=tile, margin=enlarger.reach, scale=2)
        torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)
        if tile < height:
            assert (tiled(enlarger, images, tile=tile, margin=0, scale=2) - whole).abs().max() > 1e-3


def test_tiles_are_no_larger_than_asked_and_of_nearly_one_size() -> None:
    seen: list[tuple[int, ...]] = []

    def run(part: Tensor) -> Tensor:
        seen.append(tuple(part.shape[2:]))
        return part

    images = torch.rand(1, 1, 50, 31)
    assert torch.equal(tiled(run, images, tile=20, margin=0), images)
    assert sorted(set(seen)) == [(16, 15), (16, 16), (17, 15), (17, 16)]
    with pytest.raises(ValueError, match="tile must be at least 1"):
        tiled(run, images, tile=0, margin=0)


@pytest.mark.parametrize(("name", "depth"), [("msrresnet", 3), ("srresnet", 3)])
def test_the_reach_is_as_far_as_a_pixel_sees(name: str, depth: int) -> None:
    torch.manual_seed(0)
    model: Any = create_model(name, scale=2, width=4, depth=depth).eval().double()
    for parameter in model.parameters():
        parameter.data = parameter.data.abs() + 0.01  # nothing cancels or is cut off
    images = torch.rand(1, 3, 61, 61, dtype=torch.double, requires_grad=True)
    model(images)[0, :, 60:62, 60:62].sum().backward()
    assert images.grad is not None
    rows = images.grad.abs().sum((0, 1, 3)).nonzero()
    assert 30 - int(rows.min()) <= model.reach
    assert int(rows.max()) - 30 <= model.reach


def test_large_images_are_cut_by_themselves(enlarger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baimu.inference.translating.LARGE", 24)
    (small,) = enlarger.predict(photo(), tile=0)
    (cut,) = enlarger.predict(photo())
    assert np.abs(cut.made.astype(int) - small.made).max() <= 1
    assert cut.made.shape == (80, 120, 3)


def test_an_enlargement_is_what_the_network_says_in_eight_bits(enlarger: Any) -> None:
    image = photo()
    with torch.no_grad():
        made = enlarger(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)[0]
    expected = (made * 255).clamp(0, 255).round().permute(1, 2, 0).numpy()
    (found,) = enlarger.predict(image)
    assert np.abs(found.made - expected).max() <= 1
    assert (found.scale, found.summary, found.kind) == (2, "120x80", "")
    assert found.to_dict()["made"] == {"height": 80, "width": 120, "kind": ""}


@pytest.fixture(scope="module")
def translator() -> Any:
    torch.manual_seed(0)
    model: Any = create_model("cyclegan", blocks=1, width=4)
    model.classes = ("horse", "zebra")
    model.preprocess = model.preprocess.replace(size=32)
    return model.eval()


def test_the_domain_is_chosen_by_its_name(translator: Any) -> None:
    (second,), (named,) = translator.predict(photo()), translator.predict(photo(), to="zebra")
    (first,) = translator.predict(photo(), to="horse")
    assert np.array_equal(second.made, named.made)
    assert not np.array_equal(first.made, named.made)
    assert (first.kind, second.summary) == ("horse", "60x40, zebra")
    with pytest.raises(UnknownNameError, match=r"unknown domain 'zebr'\. Did you mean zebra"):
        translator.predict(photo(), to="zebr")


def test_options_that_do_not_fit_are_refused(translator: Any, enlarger: Any) -> None:
    with pytest.raises(BaimuError, match="tile=64: this model looks at whole images"):
        translator.predict(photo(), tile=64)
    with pytest.raises(BaimuError, match="to=zebra: this model makes one kind of picture"):
        enlarger.predict(photo(), to="zebra")


@pytest.mark.parametrize("resize", ["stretch", "none"])
def test_results_have_the_size_of_their_source(translator: Any, resize: str) -> None:
    before = translator.preprocess
    translator.preprocess = before.replace(resize=resize)
    try:
        found = translator.predict([photo(33, 51), photo(20, 70)])
    finally:
        translator.preprocess = before
    assert [result.made.shape for result in found] == [(33, 51, 3), (20, 70, 3)]


def test_pictures_are_files_of_the_same_names(translator: Any, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    PIL.Image.fromarray(photo()).save(tmp_path / "in" / "a.png")
    PIL.Image.fromarray(photo()).save(tmp_path / "in" / "deep" / "b.jpg")
    written = save_predictions(translator, [str(tmp_path / "in")], tmp_path / "out", to="horse")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["a.png", "deep/b.jpg"]
    (found,) = translator.predict(tmp_path / "in" / "a.png", to="horse")
    assert np.array_equal(np.asarray(PIL.Image.open(written[0])), found.made)


def test_a_picture_checks_its_pixels() -> None:
    with pytest.raises(ValueError, match=r"made must be uint8 of shape \(80, 120, 3\), got uint8 \(40, 60, 3\)"):
        Picture(photo(), (40, 60), scale=2)
    found = Picture(photo(), (40, 60))
    with pytest.raises(ValueError, match="the image of this result"):
        found.draw(beside=True)
    beside = np.asarray(found.draw(photo(seed=1), beside=True))
    assert np.array_equal(beside[:, :60], photo(seed=1))
    assert np.array_equal(beside[:, 60:], photo())
    with pytest.raises(ValueError, match="the picture is 20 x 60"):
        found.draw(photo(20, 60), beside=True)
