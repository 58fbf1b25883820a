"""All rows."""

from __future__ import annotations

from tests.mistakes import calls, data_sets, files, names, values

COMMANDS = (*names.ROWS, *values.ROWS, *data_sets.ROWS, *files.ROWS)
CALLS = calls.ROWS
