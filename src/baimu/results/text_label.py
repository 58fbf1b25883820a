"""The class of a text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from baimu.results.classification import Classification


@dataclass(frozen=True, eq=False)
class TextLabel(Classification):
    """What a text is, as :class:`~baimu.results.Classification` has it of an image. ``text`` is the text; ``size`` is 1
    and its words; there is no image."""

    text: str = ""

    def about(self, text: str) -> TextLabel:
        """The same, of this text."""
        return replace(self, text=text)

    def to_dict(self) -> dict[str, Any]:
        """The ``best`` classes as plain numbers and strings, ready for JSON."""
        found = super().to_dict()
        return {"source": self.source, "text": self.text, "classes": found["classes"]}
