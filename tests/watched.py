"""Run code and write down what it did: ``python watched.py RECORD CODE``.

Python tells of every such event itself, also of those that libraries begin (PEP 578); what a library written in C does
by itself, it does not. The code may forget what has been so far by ``sys.audit("watched.begin")``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn"}
MOVES = {"os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.move"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main(record: str, code: str) -> None:
    seen: dict[str, list[str]] = {"process": [], "network": [], "write": []}

    def path_of(value: Any) -> str:
        return os.path.abspath(os.fsdecode(value))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "watched.begin":
            for rows in seen.values():
                rows.clear()
        elif event in STARTS:
            seen["process"].append(f"{event} {arguments[:2]!r}")
        elif event in ("socket.connect", "socket.bind", "socket.sendto"):
            address = arguments[1]
            seen["network"].append(":".join(map(str, address)) if isinstance(address, tuple) else str(address))
        elif event == "socket.getaddrinfo":
            seen["network"].append(str(arguments[0]))
        elif event == "open" and not isinstance(arguments[0], int) and arguments[2] & WRITES:
            seen["write"].append(path_of(arguments[0]))
        elif event in MOVES and not isinstance(arguments[0], int):
            places = arguments[:2] if event in ("os.rename", "os.link", "os.symlink", "shutil.move") else arguments[:1]
            seen["write"] += [path_of(place) for place in places if isinstance(place, str | bytes | os.PathLike)]

    sys.addaudithook(watch)
    exec(compile(code, "<watched>", "exec"), {"__name__": "__main__"})
    told = {kind: list(rows) for kind, rows in seen.items()}
    with open(record, "w", encoding="utf-8") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main(*sys.argv[1:3])
