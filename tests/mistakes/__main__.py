"""Print every message beside the mistake that it answers: ``python -m tests.mistakes``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.mistakes.desk import lay_out
from tests.mistakes.making import call, command
from tests.mistakes.mistake import Desk
from tests.mistakes.table import CALLS, COMMANDS

with tempfile.TemporaryDirectory() as folder:
    lay_out(Path(folder))
    (Path(folder) / "here").mkdir()
    os.chdir(Path(folder) / "here")
    for number, row in enumerate((*COMMANDS, *CALLS), 1):
        told = command(row, Desk(Path(folder))).text if isinstance(row.act, str) else call(row, Desk(Path(folder)))
        print(f"{number}. {row.what}" + (f": baimu {row.act}" if isinstance(row.act, str) else ""))
        print("    " + told.strip().replace(folder, "DESK").replace("\n", "\n    "))
