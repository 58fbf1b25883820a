"""``python -m tests.parity GOLDENS``: compare every golden file of a folder, and every peer, and print the tables.

Exit code 1 when a model differs or a file cannot be read, 2 when there is nothing to compare.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:
    from baimu.errors import DataError
    from tests.parity.outcome import Outcome


def main(arguments: list[str] | None = None) -> int:
    """Compare, print, write the page where asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description="Compare with recorded references.")
    parser.add_argument("goldens", type=Path, help="folder of .npz files, searched through all its subfolders")
    parser.add_argument("--page", type=Path, help="also write the results, with those of the peers, as markdown")
    parser.add_argument("--no-peers", action="store_true", help="leave out the libraries that are installed here")
    options = parser.parse_args(arguments)
    if options.page and options.no_peers:
        parser.error("the page holds both tables: leave out --no-peers")

    from baimu.cli.table import print_table
    from baimu.errors import DataError
    from tests.parity.golden import golden_files
    from tests.parity.page import page, terminal

    try:
        files = golden_files(options.goldens)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    goldens, unreadable = compare_files(files)
    pairs = [] if options.no_peers else compare_peers()
    for title, outcomes in (("file", goldens), ("peer", pairs)):
        if outcomes:
            print_table((title, "model", "largest relative differences", "verdict"), terminal(outcomes))
            print()
    for error in unreadable:
        print(error, file=sys.stderr)
    lacking = [o for o in goldens if o.lacking]
    wrong = [o for o in [*goldens, *pairs] if not o.lacking and not o.equal]
    equal = len(goldens) + len(pairs) - len(lacking) - len(wrong)
    print(f"{equal} equal, {len(wrong)} differ, {len(lacking)} without a model here, {len(unreadable)} unreadable")
    if options.page and not wrong and not unreadable:
        options.page.write_text(page(goldens, pairs), encoding="utf-8")
    return int(bool(wrong or unreadable))


def compare_files(files: list[Path]) -> tuple[list[Outcome], list[DataError]]:
    """What was found, and what could not be read."""
    from baimu.errors import DataError
    from tests.parity.compare import attempt

    found, unreadable = [], []
    for number, path in enumerate(files, 1):
        print(f"{number}/{len(files)} {path.name}", file=sys.stderr, flush=True)
        try:
            found.append(attempt(path))
        except DataError as error:
            unreadable.append(error)
    return found, unreadable


def compare_peers() -> list[Outcome]:
    """Of all libraries that are installed."""
    from tests.parity.peers import LIBRARIES, compare_peer, peers

    found = []
    for library in LIBRARIES:
        for peer in peers(library):
            print(f"{library} {peer.theirs}", file=sys.stderr, flush=True)
            found.append(compare_peer(peer))
    return found


if __name__ == "__main__":
    sys.exit(main())
