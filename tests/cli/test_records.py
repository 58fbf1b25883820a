"""Detections for other programs: JSON as it is, CSV with one row a detection."""

from __future__ import annotations

import io
import json

from baimu.cli.records import write_csv, write_json

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


def test_csv_has_a_row_a_detection() -> None:
    file = io.StringIO()
    write_csv(RECORDS, file)
    assert file.getvalue() == (
        'source,name,label,score,x1,y1,x2,y2\nc.jpg,"a ""cat"", big",1,0.9124,0.00,1.00,2.50,3.33\n'
    )
