"""Our networks equal those of other libraries with the same parameters, and their rows stand on docs/parity.md.

Classifiers are compared by ``tests/backbones/test_families.py``, the largest of them by ``make parity`` alone.
"""

from __future__ import annotations

import pytest

from tests.parity.page import PAGE, is_on_page
from tests.parity.peers import LIBRARIES, classifier_peers, compare_peer, detector_peers, outcome_of


@pytest.mark.parametrize("library", [library for library in LIBRARIES if library != "timm"])
def test_detectors_equal_the_library(library: str) -> None:
    pytest.importorskip(library, reason=f"needs {library}: pip install {library}")
    outcomes = [compare_peer(peer) for peer in detector_peers(library)]
    assert outcomes, "there is something to compare"
    assert [o for o in outcomes if not o.equal] == []
    page = PAGE.read_text(encoding="utf-8")
    assert [o.file for o in outcomes if not is_on_page(o, page)] == [], "run make parity PAGE=docs/parity.md"


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_classifier_with_a_peer_is_on_the_page_as_equal(library: str) -> None:
    pytest.importorskip(library, reason=f"needs {library}: pip install {library}")
    page = PAGE.read_text(encoding="utf-8")
    pairs = [*classifier_peers(library)]
    assert pairs
    missing = [
        f"{peer.ours}: {peer.theirs}"
        for peer in pairs
        if not any(is_on_page(outcome_of(peer, dict.fromkeys(parts, 0.0)), page) for parts in PARTS)
    ]
    assert missing == [], "run make parity PAGE=docs/parity.md"


PARTS = (("features", "logits"), ("logits",))
"""Some peers have no modules to compare in the middle."""
