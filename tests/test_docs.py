"""The documentation is true: examples run as written, generated pages are those of this code, links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

from baimu.datasets.playground import Playground

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.fixture
def beside_my_photos(tmp_path: Path) -> Path:
    """A folder with ``my_photos`` in it: ten drawn scenes in YOLO's format."""
    scenes = Playground(10, size=64, seed=1)
    for part in ("images", "labels"):
        (tmp_path / "my_photos" / part).mkdir(parents=True)
    (tmp_path / "my_photos" / "classes.txt").write_text("\n".join(scenes.classes))
    for i in range(len(scenes)):
        objects = scenes.objects(i)
        centres, sizes = (
            (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 128,
            (objects.boxes[:, 2:] - objects.boxes[:, :2]) / 64,
        )
        rows = [
            f"{label} {x} {y} {w} {h}\n" for label, (x, y), (w, h) in zip(objects.labels, centres, sizes, strict=True)
        ]
        (tmp_path / "my_photos" / "labels" / f"{i}.txt").write_text("".join(rows))
        PIL.Image.fromarray(scenes.image(i)).save(tmp_path / "my_photos" / "images" / f"{i}.png")
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    """What a command prints, run in ``folder`` with this interpreter's scripts first on the path."""
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


TESTED = re.findall(r"<!-- tested -->\n```(sh|python)\n(.*?)```", README, re.DOTALL)


def test_there_are_tested_examples_of_both_kinds() -> None:
    assert [language for language, _ in TESTED] == ["sh", "python", "sh"]


@pytest.mark.parametrize("example", range(len(TESTED)))
def test_the_examples_of_the_readme_run_as_written(beside_my_photos: Path, example: int) -> None:
    language, text = TESTED[example]
    if language == "python":
        run([sys.executable, "-c", text], beside_my_photos)
    else:
        run(["bash", "-euo", "pipefail", "-c", text], beside_my_photos)


def test_both_readmes_show_the_same_code() -> None:
    def code(text: str) -> list[str]:
        blocks = re.findall(r"```\w+\n(.*?)```", text, re.DOTALL)
        return [re.sub(r" *#.*", "", block) for block in blocks]

    assert code((ROOT / "README.zh.md").read_text(encoding="utf-8")) == code(README)


def test_generated_pages_are_up_to_date() -> None:
    assert run([sys.executable, "tools/docs.py", "--check"], ROOT) == "", "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [t for t in targets if t and not t.startswith("https://") and not (page.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_command_lines_in_the_pages_can_be_parsed(page: Path) -> None:
    """Every ``baimu …`` line of a shell block names a verb, and options that this verb has."""
    from typer.main import get_command

    from baimu.cli.main import app

    verbs = get_command(app).commands
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for verb, rest in re.findall(r"^(?:.* -m )?baimu (\w+)(.*)$", block, re.MULTILINE):
            command = verbs[verb]
            if hasattr(command, "commands"):  # a verb of verbs: baimu weights list
                command = command.commands[rest.split()[0]]
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"(?<= )--[\w-]+", rest.partition(" #")[0])) <= known, (verb, rest)
