"""The package as a wheel, the same bytes wherever and whenever it is built: ``python tools/wheel.py FOLDER``.

Times in it are those of ``SOURCE_DATE_EPOCH``, else of the last commit; the backend is that of this environment, so
that nothing is fetched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build(folder: Path) -> Path:
    """The wheel's path."""
    os.environ.setdefault("SOURCE_DATE_EPOCH", _last_commit())
    here = Path.cwd()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)  # files' modes are part of the wheel
    os.chdir(ROOT)
    try:
        from hatchling.build import build_wheel

        return folder / build_wheel(str(folder))
    finally:
        os.chdir(here)


def _last_commit() -> str:
    """Its time in seconds; of sources without a history the first that a zip file can hold."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "315532800"


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
