"""Our networks equal those of other libraries with the same parameters, and their rows stand on docs/parity.md."""

from __future__ import annotations

import pytest

from baimu import zoo
from tests.parity.page import PAGE, is_on_page
from tests.parity.peers import LIBRARIES, backbones, compare_peer, peers

KINDS = {"backbones": backbones(), "detectors": zoo.index()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_equals_the_library(library: str, kind: str) -> None:
    pytest.importorskip(library, reason=f"needs {library}: pip install {library}")
    if (library, kind) == ("timm", "detectors"):
        assert not [peer for peer in peers(library) if peer.ours in KINDS[kind]], "timm has detectors now: compare them"
        return
    outcomes = [compare_peer(peer) for peer in peers(library) if peer.ours in KINDS[kind]]
    assert outcomes, "there is something to compare"
    assert [o for o in outcomes if not o.equal] == []
    page = PAGE.read_text(encoding="utf-8")
    assert [o.file for o in outcomes if not is_on_page(o, page)] == [], "run make parity PAGE=docs/parity.md"
