"""The wheel in clean environments, of the lowest and of the newest versions that it allows: does it install and work?

``python tools/install_check.py [lowest|newest …]``; needs uv, the network and some gigabytes, which are given back.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from wheel import ROOT, build

LOWEST_PYTHON = "3.11"
RESOLUTIONS = {"lowest": ("lowest-direct", LOWEST_PYTHON), "newest": ("highest", "3")}

SMOKE = """
import json, warnings
import numpy, torch
from PIL import Image
import baimu
from baimu.errors import ImageError

torch.set_num_threads(1)
run = baimu.train("fcos_r18_fpn", "playground:train=4,val=2,size=64", out="run", epochs=1, batch_size=2, workers=0)
exif = Image.Exif()
exif[0x0112] = 6
Image.fromarray(numpy.zeros((40, 64, 3), numpy.uint8)).save("turned.jpg", exif=exif)
open("broken.png", "wb").write(b"not an image")
found = baimu.predict("run", ["turned.jpg", "broken.png", "turned.jpg"], on_error="record")
assert [one.size for one in found] == [(64, 40), (0, 0), (64, 40)], found
try:
    baimu.predict("run", "broken.png")
except ImageError as error:
    assert str(error).startswith("broken.png: ")
else:
    raise AssertionError("a broken image was read")
here = baimu.env()
print(json.dumps({"python": here.python, **here.packages}))
"""


def check(wheel: Path, resolution: str, python: str) -> dict[str, str]:
    """The versions that it was installed with and worked. Raises ``CalledProcessError`` where it did not."""
    with tempfile.TemporaryDirectory(prefix="baimu-install-") as name:
        folder = Path(name)
        interpreter = folder / "venv" / "bin" / "python"
        _run(["uv", "venv", "--quiet", "--python", python, str(folder / "venv")], folder)
        # The resolution "lowest-direct" is of what is named: of a wheel's dependencies, it would take the newest.
        install = ["uv", "pip", "install", "--quiet", "--python", str(interpreter), "--resolution", resolution]
        _run([*install, "--requirements", str(ROOT / "pyproject.toml")], folder)
        _run([*install, "--no-deps", str(wheel)], folder)
        command = [str(folder / "venv" / "bin" / "baimu")]
        for words in (["--help"], ["--version"], ["env"], ["models", "fcos*"], ["train", "--help"]):
            _run([*command, *words], folder)
        said = _run([str(interpreter), "-c", SMOKE], folder)
        _run([*command, "predict", "run", "turned.jpg", "--out", "drawn"], folder)
        return json.loads(said.strip().splitlines()[-1])


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        print(textwrap.indent(f"{' '.join(command)[:300]}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}", "    "))
        done.check_returncode()
    return done.stdout


def main() -> int:
    chosen = sys.argv[1:] or list(RESOLUTIONS)
    with tempfile.TemporaryDirectory(prefix="baimu-wheel-") as folder:
        wheel = build(Path(folder))
        for name in chosen:
            resolution, python = RESOLUTIONS[name]
            try:
                versions = check(wheel, resolution, python)
            except subprocess.CalledProcessError:
                print(f"{name}: does not work")
                return 1
            print(f"{name}: works with {', '.join(f'{k} {v}' for k, v in versions.items())}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
