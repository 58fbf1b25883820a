"""Index and search: files, answers, faiss's equality, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import baimu
from baimu.datasets.characters import Characters
from baimu.embedding.arcface import arcface
from baimu.errors import CheckpointError, DataError, UnknownNameError
from baimu.inference.searching import ENGINES, Index, fingerprint
from tests.training.test_embedding import SmallStages


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    made = arcface(SmallStages(), 3, size=None, dim=8)
    made.preprocess = made.preprocess.replace(size=24)
    return made.eval()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos") / "photos"
    source = Characters(range(4), 3, 24)
    for i in range(len(source)):
        place = root / source.classes[source.shown(i).identity] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source.image(i)).save(place)
    Image.fromarray(source.image(0)).save(root / "loose.png")
    return root


@pytest.fixture(scope="module")
def held(model: Any, photos: Path) -> Index:
    return baimu.index(photos, model, workers=0)


def test_an_index_is_what_the_model_says_of_each_image(model: Any, photos: Path, held: Index) -> None:
    assert len(held) == 13
    expected = np.stack([found.vector for found in baimu.predict(model, photos)])
    np.testing.assert_allclose(held.vectors, expected, atol=1e-5)
    assert held.names[:3] == ("character 0",) * 3
    assert held.names[-1] == ""
    assert (photos.parent / "photos.index").is_file()


def test_it_comes_back_from_its_file(photos: Path, held: Index) -> None:
    again = Index.load(photos.parent / "photos.index")
    assert np.array_equal(again.vectors, held.vectors)
    assert (again.sources, again.names, again.made_by) == (held.sources, held.names, held.made_by)


def test_a_search_finds_the_nearest_but_not_itself(model: Any, photos: Path, held: Index) -> None:
    query = photos / "character 0" / "0.png"
    (found,) = baimu.search(held, query, top=4, model=model)
    assert len(found) == 4
    assert found.matches[0].source == str(photos / "loose.png"), "the same picture under another name"
    assert found.matches[0].similarity == pytest.approx(1, abs=1e-5)
    assert str(query) not in [match.source for match in found.matches]
    cosine = held.vectors @ held.vectors[0]
    order = [i for i in np.argsort(-cosine, kind="stable") if i != 0][:4]
    assert [match.similarity for match in found.matches] == pytest.approx(cosine[order].clip(max=1).tolist(), abs=1e-5)
    assert found.to_dict()["matches"][0]["name"] == ""
    assert found.summary
    sheet = found.draw()
    assert sheet.width > 3 * sheet.height


def test_images_from_elsewhere_and_more_than_there_are(model: Any, held: Index) -> None:
    image = Characters(range(4), 3, 24).image(1)
    (found,) = baimu.search(held, image, top=50, model=model)
    assert len(found) == 13
    assert found.matches[0].name == "character 0"


def test_chunks_and_engines_agree(monkeypatch: pytest.MonkeyPatch, held: Index) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    large = Index(vectors, tuple(map(str, range(2000))), ("",) * 2000, "", "")
    queries = vectors[:50] + 0.1 * rng.normal(size=(50, 16)).astype(np.float32)
    position, cosine = large.nearest(queries, 5)
    exact = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :5]
    assert np.array_equal(position, exact)
    monkeypatch.setattr("baimu.inference.searching.CHUNK", 1)
    assert np.array_equal(large.nearest(queries, 5)[0], exact)
    pytest.importorskip("faiss", reason="needs faiss: pip install faiss-cpu")
    for engine in ENGINES[1:]:
        near, similarity = large.nearest(queries, 5, engine=engine)
        recall = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(near, exact, strict=True)])
        assert recall >= (1 if engine == "faiss" else 0.9), engine
        if engine == "faiss":
            np.testing.assert_allclose(similarity, cosine, atol=1e-5)


def test_what_does_not_fit_is_told(tmp_path: Path, model: Any, photos: Path, held: Index) -> None:
    query = Characters(range(4), 3, 24).image(1)
    with pytest.raises(DataError, match="there is no such index; make it with: baimu index"):
        baimu.search(tmp_path / "no.index", query)
    with pytest.raises(DataError, match="made by a model object"):
        baimu.search(held, query)
    other = arcface(SmallStages(), 3, size=None, dim=8)
    with pytest.raises(DataError, match="made by other parameters than those of the model given"):
        baimu.search(held, query, model=other)
    with pytest.raises(DataError, match="ask for one image or more"):
        baimu.search(held, query, model=model, top=0)
    with pytest.raises(UnknownNameError, match="search engine"):
        held.nearest(held.vectors, 2, engine="fais")
    with pytest.raises(DataError, match="holds 8 numbers an image, the model gives 4"):
        held.nearest(np.zeros((1, 4), np.float32), 2)
    with pytest.raises(DataError, match="is no image file"):
        baimu.index([query], model, workers=0)
    from tests.training.small import small_fcos

    with pytest.raises(DataError, match="is a model for detection; give an embedder"):
        baimu.index(photos, small_fcos(), workers=0)
    (tmp_path / "cut.index").write_bytes((photos.parent / "photos.index").read_bytes()[:-8])
    with pytest.raises(CheckpointError):
        Index.load(tmp_path / "cut.index")


def test_the_fingerprint_is_of_what_embeds(model: Any) -> None:
    import copy

    before, other = fingerprint(model), copy.deepcopy(model)
    with torch.no_grad():
        other.head.weight.add_(1)
    assert fingerprint(other) == before, "identities learned from embed nothing"
    with torch.no_grad():
        next(other.backbone.parameters()).add_(1)
    assert fingerprint(other) != before
