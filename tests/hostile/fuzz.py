"""Thousands of changed files through the readers; ``python -m tests.hostile.fuzz --count N --seed S --out FILE``.

Each batch runs in a forked child with bounds of time and memory. What may come out is right or wrong pixels, a data
set, or an error of ours; a child that dies or hangs is asked again file by file, and the file is named by its number.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from baimu.errors import BaimuError
from tests.hostile.guard import guarded

BATCH = 50
SECONDS = 2.0
"""Of processor time that one file may take."""
MEMORY = 1 << 30
"""Bytes that the process may hold more than at its beginning."""

Reader = Callable[[int, Path], None]
"""Makes file number N in the folder and reads it."""


def read_one(reader: Reader, number: int, folder: Path) -> tuple[str, float]:
    """What came of it, and the seconds: "read", "refused", or what went wrong."""
    began = time.process_time()
    try:
        reader(number, folder)
        said = "read"
    except BaimuError as error:
        said = "refused" if str(error) else "wrong: an error without a word"
    except MemoryError:
        said = "wrong: no memory"
    except Exception as error:
        said = f"wrong: {type(error).__name__}: {str(error)[:200]}"
    spent = time.process_time() - began
    return (f"wrong: took {spent:.1f} s" if spent > SECONDS else said), spent


def read_batch(reader: Reader, numbers: range, folder: Path) -> list[tuple[str, float]]:
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff speaks its mind
    warnings.simplefilter("ignore")
    return [read_one(reader, number, folder) for number in numbers]


def fuzz(readers: dict[str, Reader], count: int, seed: int, report: Callable[[str], None] = print) -> dict[str, Any]:
    """``count`` files of each reader."""
    told: dict[str, Any] = {}
    for name, reader in readers.items():
        tally: Counter[str] = Counter()
        wrong: list[dict[str, Any]] = []
        slowest, most = 0.0, 0.0
        with tempfile.TemporaryDirectory() as folder:
            read_one(reader, seed, Path(folder))  # so that what is loaded once is there before processes part
            for start in range(seed, seed + count, BATCH):
                numbers = range(start, min(start + BATCH, seed + count))
                outcome = guarded(partial(read_batch, reader, numbers, Path(folder)), seconds=60, memory=MEMORY)
                most = max(most, outcome.megabytes)
                found = outcome.value or [one_by_one(reader, number, Path(folder)) for number in numbers]
                for number, (said, seconds) in zip(numbers, found, strict=True):
                    tally[said.partition(":")[0]] += 1
                    slowest = max(slowest, seconds)
                    wrong += [{"number": number, "said": said}] if said.startswith("wrong") else []
        told[name] = {
            "files": count,
            **tally,
            "slowest s": round(slowest, 3),
            "most MB": round(most),
            "faults": wrong[:50],
        }
        report(f"{name}: {dict(tally)}, slowest {slowest:.2f} s, {most:.0f} MB")
    return told


def one_by_one(reader: Reader, number: int, folder: Path) -> tuple[str, float]:
    outcome = guarded(partial(read_batch, reader, range(number, number + 1), folder), seconds=30, memory=MEMORY)
    return outcome.value[0] if outcome.value else (f"wrong: died, {outcome.died}", outcome.seconds)


def main() -> int:
    from tests.hostile.readers import image_readers, parser_readers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="changed images; of each parser's input a twentieth")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    readers = image_readers()
    told = fuzz(readers, -(-options.count // len(readers)), options.seed)
    told |= fuzz(parser_readers(), max(1, options.count // 20), options.seed)
    faults = sum(len(row["faults"]) for row in told.values())
    whole = {"files": sum(row["files"] for row in told.values()), "faults": faults, "readers": told}
    if options.out:
        options.out.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{whole['files']} files, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
