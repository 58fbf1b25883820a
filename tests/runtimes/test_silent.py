"""Runtimes that would tell their makers of their use, or install packages, do neither here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WATCH = """
import socket, subprocess, sys

def refused(*arguments, **options):
    sys.stderr.write(f"OPENED {arguments}\\n")
    raise OSError("no socket here")

class Watched(socket.socket):
    __init__ = connect = refused

socket.socket, socket.create_connection, socket.getaddrinfo = Watched, refused, refused
run = subprocess.Popen.__init__

def watched(self, arguments, *rest, **options):
    sys.stderr.write(f"RAN {arguments}\\n")
    run(self, arguments, *rest, **options)

subprocess.Popen.__init__ = watched
"""
"""``sitecustomize`` of the process and of those it starts."""

EXPORT = """
import sys, time
from pathlib import Path
import numpy as np
import baimu
from tests.deploy.models import classifier

folder, model = Path(sys.argv[1]), classifier()
images = list(np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8))
for name, precision in (("it.xml", "fp32"), ("it.xml", "int8"), ("it.mnn", "fp32"), ("it.onnx", "int8")):
    format = {"xml": "openvino"}.get(name[3:], name[3:])
    path = baimu.export(model, folder / name, format=format, precision=precision, images=images)
    baimu.load(path).predict(images[:1])
time.sleep(0.5)  # reports are sent by threads
"""


def watched(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(WATCH)
    path = os.pathsep.join(map(str, (folder, ROOT / "src", ROOT)))
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )


def test_to_import_export_and_load_opens_no_socket_and_installs_nothing(tmp_path: Path) -> None:
    done = watched(EXPORT, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "OPENED" not in done.stderr
    ran = [line for line in done.stderr.splitlines() if line.startswith("RAN")]
    assert any("mnnconvert" in line for line in ran)
    assert not any("'pip'" in line or "pip install" in line for line in ran)


def test_the_watch_sees_what_reports(tmp_path: Path) -> None:
    done = watched("import socket; socket.create_connection(('127.0.0.1', 9))", tmp_path)
    assert "OPENED" in done.stderr
    done = watched(
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket; socket.socket()'])", tmp_path
    )
    assert "RAN" in done.stderr
    assert "OPENED" in done.stderr
