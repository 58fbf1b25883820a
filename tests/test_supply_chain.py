"""What the package brings in and what it does by itself: few dependencies, no surprises on import or in a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_project import PROJECT, ROOT, names

WATCHER = Path(__file__).with_name("watched.py")


def watched(code: str, folder: Path, *arguments: str) -> dict[str, list[str]]:
    """What ``code`` did in a fresh interpreter that was watched, by kind of event. Its home is below ``folder``, so
    that nothing it finds or leaves there is this user's."""
    record = folder / "record.json"
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {"PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    environment |= {"HOME": str(home), "TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    (folder / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, str(WATCHER), str(record), code, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(record.read_text("utf-8"))


def test_core_dependencies_are_few_and_have_a_lowest_version() -> None:
    direct = PROJECT["project"]["dependencies"]
    assert len(names(direct)) == len(direct) <= 16
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+>=[\d.]+", line) for line in direct)


DEPENDENCIES = """
import importlib, pkgutil, sys
import accelerate, huggingface_hub, matplotlib.pyplot, numpy, PIL.Image, pydantic, scipy, torchvision, torch, typer
sys.audit('watched.begin')
"""
"""What others do when they are imported is theirs: torch for CUDA starts ldconfig, torchvision makes a cache folder."""

IMPORT_ALL = (
    DEPENDENCIES
    + """
import baimu
for module in pkgutil.walk_packages(baimu.__path__, 'baimu.'):
    if not module.name.endswith('__main__'):
        importlib.import_module(module.name)
"""
)


@pytest.mark.parametrize("code", [IMPORT_ALL, "import baimu, baimu.cli.main"])
def test_no_import_starts_a_process_opens_a_socket_or_writes(tmp_path: Path, code: str) -> None:
    """Every module of the package, with all that it imports at its top; and the command line, with nothing before."""
    assert watched(code, tmp_path) == {"process": [], "network": [], "write": []}


def test_the_watcher_sees_what_it_is_for(tmp_path: Path) -> None:
    code = f"""
import os, socket, subprocess, tempfile, pathlib
subprocess.run(['true'])
os.system('true')
try: socket.create_connection(('127.0.0.1', 1), timeout=1)
except OSError: pass
open({str(tmp_path / "a")!r}, 'w').close()
os.close(os.open({str(tmp_path / "b")!r}, os.O_CREAT | os.O_WRONLY))
os.rename({str(tmp_path / "a")!r}, {str(tmp_path / "c")!r})
pathlib.Path({str(tmp_path / "d")!r}).mkdir()
open({str(tmp_path / "c")!r}).close()
"""
    seen = watched(code, tmp_path)
    assert len(seen["process"]) == 2
    assert "127.0.0.1:1" in seen["network"]
    assert sorted(seen["write"]) == [str(tmp_path / name) for name in ("a", "a", "b", "c", "d")]


RUN = (
    DEPENDENCIES
    + """
import baimu
torch.set_num_threads(1)
data = 'playground:train=4,val=2,size=64'
how = dict(out='run', epochs=1, batch_size=2, workers=0)
baimu.train('fcos_r18_fpn', data, **how)
baimu.predict('run', ['photo.png'])
baimu.export('run', 'out/model.torchscript', format='torchscript')
baimu.load('run')
"""
)


@pytest.mark.slow
def test_a_run_writes_into_its_folders_alone(tmp_path: Path) -> None:
    """Training, prediction and export: the run folder, the file asked for, temporary files, and caches in the home."""
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    seen = watched(RUN, tmp_path)
    inside = tuple(
        str(tmp_path / name) for name in ("run", "out", "tmp", "home/.cache", "home/.config", "home/.triton")
    )
    assert any(path.startswith(inside[0]) for path in seen["write"])
    assert any(path.startswith(inside[1]) for path in seen["write"])
    beyond = {path for path in seen["write"] if not path.startswith(inside) and path != "/dev/null"}
    assert beyond == set()
    assert seen["network"] == []
    assert seen["process"] == []
    assert {entry.name for entry in tmp_path.iterdir()} == {"home", "tmp", "run", "out", "photo.png", "record.json"}


def test_security_stands_where_it_is_looked_for() -> None:
    assert "[SECURITY.md](SECURITY.md)" in (ROOT / "README.md").read_text("utf-8")
    assert (ROOT / "SECURITY.md").is_file()


def test_the_list_of_what_an_environment_holds_names_every_core_dependency(tmp_path: Path) -> None:
    """As ``make sbom`` writes it; the program checks it against CycloneDX's schema by itself."""
    pytest.importorskip("cyclonedx_py", reason="needs cyclonedx-bom")
    file = tmp_path / "sbom.json"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")]
    command += ["--output-reproducible", "--output-format", "JSON", "--output-file", str(file), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed = json.loads(file.read_text("utf-8"))
    assert listed["bomFormat"] == "CycloneDX"
    found = {part["name"].lower().replace("_", "-") for part in listed["components"]}
    assert names(PROJECT["project"]["dependencies"]) <= found
