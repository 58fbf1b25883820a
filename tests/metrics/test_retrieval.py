"""Search metrics against the references' numbers, slow loops, and examples worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from baimu.metrics.reranking import k_reciprocal
from baimu.metrics.retrieval import rank_answers, retrieve
from tests.embedding.goldens import read


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def test_by_hand() -> None:
    """Relevance (1, 0, 1) of two right ones: AP (1 + 2/3) / 2, INP 2/3, MAP@R and R-precision 1/2."""
    similarity = np.array([[0.9, 0.8, 0.7], [0.9, 0.8, 0.7]])
    right = np.array([[True, False, True], [False, False, False]])
    ranked, order = rank_answers(similarity, right, np.zeros_like(right))
    assert order[0].tolist() == [0, 1, 2]
    assert ranked.first.tolist() == [0, -1]
    assert ranked.precision[0] == pytest.approx((1 + 2 / 3) / 2)
    assert ranked.inverse_penalty[0] == pytest.approx(2 / 3)
    assert ranked.precision_at_r[0] == ranked.r_precision[0] == 0.5
    assert np.isnan(ranked.precision[1])


def test_ties_keep_the_gallery_s_order_and_ignored_ones_have_no_rank() -> None:
    similarity, right = np.array([[0.5, 0.9, 0.5, 0.5]]), np.array([[False, True, True, False]])
    ranked, order = rank_answers(similarity, right, np.array([[False, True, False, False]]))
    assert order[0].tolist() == [0, 2, 3, 1]
    assert ranked.first.tolist() == [1]
    assert ranked.precision.tolist() == [0.5]


def test_cameras_as_in_the_references(shared: Path) -> None:
    golden = read(shared, "reid/reid_evaluation")
    a, values = golden.arrays, golden.meta["values"]
    right = a["in/q_pids"][:, None] == a["in/g_pids"]
    ignored = right & (a["in/q_camids"][:, None] == a["in/g_camids"])
    ranked, _ = rank_answers(-a["in/distances"], right, ignored)
    answered = ranked.first >= 0
    assert answered.sum() == 11
    assert ranked.precision[answered].tolist() == pytest.approx(values["fastreid/market1501/AP"], rel=1e-6)
    assert ranked.inverse_penalty[answered].tolist() == pytest.approx(values["fastreid/market1501/INP"], rel=1e-6)
    cmc = [(ranked.first[answered] < k).mean() for k in range(1, 51)]
    assert cmc == pytest.approx(a["fastreid/market1501/cmc"].tolist(), rel=1e-6)
    assert cmc == pytest.approx(a["strong_baseline/cmc"].tolist(), rel=1e-6)
    found = ranked.precision[answered].mean(), ranked.inverse_penalty[answered].mean()
    assert found == pytest.approx(values["fastreid/market1501/mAP_mINP"], rel=1e-6)
    assert found[0] == pytest.approx(values["strong_baseline/mAP"], rel=1e-6)


def test_a_search_of_embeddings_against_a_loop() -> None:
    rng = np.random.default_rng(1)
    vectors, ids, cameras = unit(rng.normal(size=(40, 8))), rng.integers(-1, 6, 40), rng.integers(0, 3, 40)
    query, gallery = rng.random(40) < 0.6, rng.random(40) < 0.8
    found = retrieve(vectors, ids, cameras=cameras, query=query, gallery=gallery)
    row = 0
    for i in range(40):
        if not query[i] or ids[i] < 0:
            continue
        assert found.queries[row] == i
        answers = [
            j for j in range(40)
            if gallery[j] and j != i and ids[j] >= 0 and not (ids[j] == ids[i] and cameras[j] == cameras[i])
        ]  # fmt: skip
        answers.sort(key=lambda j: -float(vectors[i] @ vectors[j]))
        hits = [ids[j] == ids[i] for j in answers]
        assert found.neighbours[row].tolist() == (answers + [-1] * 10)[:10]
        assert bool(found.answerable[row]) == any(hits)
        if any(hits):
            precisions = [sum(hits[: k + 1]) / (k + 1) for k, hit in enumerate(hits) if hit]
            assert found.ranked.precision[row] == pytest.approx(np.mean(precisions))
            assert found.ranked.first[row] == hits.index(True)
            r = sum(hits)
            assert found.ranked.precision_at_r[row] == pytest.approx(
                sum(sum(hits[: k + 1]) / (k + 1) for k in range(r) if hits[k]) / r
            )
        row += 1
    assert row == len(found.queries)
    assert found.cmc[0] == found.recall(1)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    vectors, ids = unit(rng.normal(size=(30, 4))), rng.integers(0, 5, 30)
    whole = retrieve(vectors, ids)
    monkeypatch.setattr("baimu.metrics.retrieval.CHUNK", 1)
    parts = retrieve(vectors, ids)
    assert np.array_equal(whole.neighbours, parts.neighbours)
    assert whole.mean_ap == parts.mean_ap


def test_perfect_clusters_score_1() -> None:
    vectors = unit(np.repeat(np.eye(4), 5, 0) + 0.01 * np.random.default_rng(0).normal(size=(20, 4)))
    found = retrieve(vectors, np.repeat(np.arange(4), 5))
    assert found.recall(1) == found.mean_ap == found.mean_ap_at_r == found.r_precision == found.mean_inp == 1


def reranked_by_loop(
    query: np.ndarray, gallery: np.ndarray, k1: int, k2: int, share: float, kept: type = np.float64
) -> np.ndarray:
    """The paper's steps, image by image; ``kept`` is the type in which neighbourhoods are held and summed."""
    features = np.concatenate([query, gallery]).astype(np.float64)
    count = len(features)
    distance = ((features[:, None] - features) ** 2).sum(-1)
    distance = (distance / distance.max(0)).T
    order = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(i: int, k: int) -> set[int]:
        return {int(j) for j in order[i, : k + 1] if i in order[j, : k + 1]}

    encoded = np.zeros((count, count), kept)
    for i in range(count):
        mine = reciprocal(i, k1)
        members = set(mine)
        for j in mine:
            theirs = reciprocal(j, round(k1 / 2))
            if len(theirs & mine) > 2 / 3 * len(theirs):
                members |= theirs
        places = sorted(members)
        weights = np.exp(-distance[i, places])
        encoded[i, places] = weights / weights.sum()
    if k2 > 1:
        encoded = np.stack([encoded[order[i, :k2]].mean(0) for i in range(count)])
    result = np.zeros((len(query), len(gallery)))
    for i in range(len(query)):
        for j in range(len(gallery)):
            shared = kept(0)
            for place in np.flatnonzero(encoded[i]):
                shared = kept(shared + min(encoded[i, place], encoded[len(query) + j, place]))
            jaccard = kept(1 - shared / (2 - shared))
            result[i, j] = (1 - share) * jaccard + share * distance[i, len(query) + j]
    return result


@pytest.mark.parametrize(("k1", "k2", "share"), [(20, 6, 0.3), (8, 3, 0.5), (6, 1, 0.0), (4, 2, 1.0)])
def test_reranking(shared: Path, k1: int, k2: int, share: float) -> None:
    """The loop; and by the loop with float16 in its place, where it keeps neighbourhoods, the strong baseline's."""
    golden = read(shared, "reid/reid_evaluation")
    query, gallery = golden.arrays["in/query"], golden.arrays["in/gallery"]
    found = k_reciprocal(query, gallery, k1=k1, k2=k2, share=share)
    np.testing.assert_allclose(found, reranked_by_loop(query, gallery, k1, k2, share), atol=1e-9)
    key = f"strong_baseline/rerank_{k1}_{k2}_{share}"
    if key in golden.arrays:
        half = reranked_by_loop(query, gallery, k1, k2, share, np.float16)
        np.testing.assert_allclose(half, golden.arrays[key], atol=1e-3)
        np.testing.assert_allclose(found, half, atol=3e-3)


def test_reranking_is_fastreids(shared: Path) -> None:
    """It is given squared distances and squares them again."""
    golden = read(shared, "reid/reid_evaluation")
    found = k_reciprocal(golden.arrays["in/query"], golden.arrays["in/gallery"], power=2.0)
    np.testing.assert_allclose(found, golden.arrays["fastreid/rerank_20_6_0.3"], atol=1e-6)


def test_k2_may_not_pass_k1() -> None:
    with pytest.raises(ValueError, match="k1 >= k2"):
        k_reciprocal(np.eye(3), np.eye(3), k1=2, k2=3)
