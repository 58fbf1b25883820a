"""The parsers of text and of headers with inputs that atheris finds by the branches they take: ``make fuzz-parsers``.

``python -m tests.hostile.guided -runs=N [READER]``; atheris is no dependency of the tests. A fault ends it, with the
input in a file beside.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["baimu.datasets", "baimu.weights", "baimu.masks"]):
        from baimu.datasets.formats.class_files import read_classes
        from baimu.datasets.formats.idx import read_array
        from baimu.datasets.formats.mot import read_mot
        from baimu.datasets.formats.sequences import read_boxes
        from baimu.datasets.formats.text_list import read_text_list
        from baimu.weights.archive import read_archive
        from baimu.weights.stored import read_stored
    from baimu.errors import BaimuError

    parsers: dict[str, tuple[str, Callable[[Path], object]]] = {
        "mot": ("gt.txt", read_mot),
        "boxes": ("groundtruth.txt", read_boxes),
        "classes": ("label_colors.txt", read_classes),
        "texts": ("list.tsv", read_text_list),
        "idx": ("train-images-idx3-ubyte", read_array),
        "weights": ("w.pth", read_stored),
        "checkpoint": ("last.safetensors", read_archive),
    }
    chosen = [word for word in sys.argv[1:] if not word.startswith("-")] or list(parsers)
    folder = Path(tempfile.mkdtemp(prefix="baimu-guided-"))

    def ask(data: bytes) -> None:
        file, read = parsers[chosen[data[0] % len(chosen) if data else 0]]
        path = folder / file
        path.write_bytes(data[1:])
        with contextlib.suppress(BaimuError):
            read(path)

    atheris.Setup([word for word in sys.argv if word.startswith("-") or word == sys.argv[0]], ask)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
