"""The page for people, and what it may do."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib import resources


@functools.cache
def page() -> str:
    """Choose or drop an image and see the result; one file, which loads nothing from anywhere but its own server."""
    return (resources.files("baimu.deploy.serving") / "page.html").read_text(encoding="utf-8")


@functools.lru_cache(maxsize=8)
def policy(html: str) -> str:
    """A ``Content-Security-Policy`` under which only the page's own script and style work, and only its own server is
    asked."""

    def own(tag: str) -> str:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found)
        return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"

    return (
        f"default-src 'none'; script-src {own('script')}; style-src {own('style')}; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
