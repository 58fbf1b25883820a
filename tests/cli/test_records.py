"""Results for other programs: JSON as it is, CSV with quotes where they are needed."""

from __future__ import annotations

import io
import json

from baimu.cli.records import write_json

RECORDS = [
    {"source": "ä, b.jpg", "height": 4, "width": 6, "objects": []},
    {
        "source": "c.jpg",
        "height": 4,
        "width": 6,
        "objects": [{"box": [0.0, 1.0, 2.5, 3.333], "score": 0.91239, "label": 1, "name": 'a "cat", big'}],
    },
]


def test_json_keeps_everything() -> None:
    file = io.StringIO()
    write_json(RECORDS, file)
    assert json.loads(file.getvalue()) == RECORDS
