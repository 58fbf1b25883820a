"""The verb that serves: what is wrong is told before anything listens. That it serves is tested beside the server."""

from __future__ import annotations

import sys

import pytest

import baimu as library
from baimu.errors import BaimuError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no/such/model"], "no/such/model: there is no such checkpoint or run folder"),
        (["no/such/model", "--set", "score_threshold"], "--set score_threshold: write KEY=VALUE"),
        (["no/such/model", "--precision", "fp8"], "Did you mean fp16"),
        (["a=x", "a=y"], "a: two models of this name"),
        (["no/such/model", "--max-megabytes", "0"], "body_bytes must be above 0"),
        (["no/such/model", "--host", "203.0.113.7"], "cannot be listened on"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(baimu, words: list[str], said: str) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    done = baimu("serve", *words, "--port", "0")
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "python_multipart", "prometheus_client"])
def test_a_missing_extra_names_the_install_line(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BaimuError, match=rf"serving needs {package}; install it with: pip install 'baimu\[serve\]'"):
        library.serve("no/such/model", port=0)
