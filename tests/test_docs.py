"""The documentation is true: examples run as written, generated pages are those of this code, links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
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


TASKS = re.findall(r"^\| [^|]+ \| `baimu ([^`]+)` \|", README, re.MULTILINE)
QUICK = ["epochs=1", "batch_size=2", "workers=0"]
SMALL: dict[str, tuple[str, list[str]]] = {
    "fcos_r18_fpn": ("train=2,val=2,size=64", ["size=64"]),
    "mask_rcnn_r18_fpn": ("train=2,val=2,size=64", ["size=64"]),
    "unet_r18": ("train=2,val=2,size=32", []),
    "arcface_r18": ("train=4,val=3,images=4,size=16", ["batch_size=8", "model.dim=8"]),
    "siamfc_alexnet": (
        "train=2,val=1,length=4,size=64",
        ["pairs_per_epoch=2", "model.width=0.05", "model.search_size=159"],
    ),
    "crnn": ("train=4,val=2", ["model.hidden=8"]),
    "cyclegan": ("train=2,val=2,size=32", ["size=32", "model.blocks=1", "model.width=4"]),
    "msrresnet_small": ("train=2,val=2,size=64", ["size=32", "model.depth=1", "model.width=4"]),
}
"""How little the commands of the table of tasks are tried on: the playground's options, and settings."""


def files_of_tasks(folder: Path) -> None:
    """What the commands of the table name that is not the playground."""
    for flower, shade in (("daisy", 40), ("rose", 160)):
        (folder / "my_flowers" / flower).mkdir(parents=True)
        for i in range(3):
            PIL.Image.new("RGB", (24, 24), (shade + i,) * 3).save(folder / "my_flowers" / flower / f"{i}.png")
    texts = [f"{kind}\t{text} {i}\n" for i in range(8) for kind, text in (("ham", "see you soon"), ("spam", "win now"))]
    (folder / "my_mail.tsv").write_text("".join(texts), encoding="utf-8")


def write_detector(path: Path) -> str:
    """A detector that finds nothing in particular, and beside it the video that it looks at."""
    pytest.importorskip("av")
    from baimu.inference.video import save_video
    from baimu.weights.archive import write_archive
    from baimu.weights.checkpoint import describe
    from baimu.zoo import create_model

    detector = create_model("fcos_r18_fpn", num_classes=1)
    detector.preprocess = detector.preprocess.replace(size=64, max_size=96)
    state = {f"model.{name}": value for name, value in detector.state_dict().items()}
    write_archive(path, state, describe(detector))
    save_video(path.with_name("street.mp4"), [np.full((64, 80, 3), 90, np.uint8)] * 3, 5)
    return str(path)


@pytest.mark.parametrize("command", TASKS)
def test_the_commands_of_the_table_of_tasks_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from baimu.cli.main import app

    monkeypatch.chdir(tmp_path)
    files_of_tasks(tmp_path)
    words = command.split()
    if words[0] == "track":
        words[words.index("--model") + 1] = write_detector(tmp_path / "detector.safetensors")
    else:
        options, settings = SMALL.get(words[1], ("", []))
        words = [f"playground:{options}" if word == "playground" else word for word in words]
        own = {setting.partition("=")[0] for setting in settings}
        words += [*settings, *(quick for quick in QUICK if quick.partition("=")[0] not in own), "--out", "run"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "report.html").exists() or words[0] == "track"


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
            if hasattr(command, "commands"):  # a verb of verbs: baimu weights list; baimu data DIR leaves its out
                first = rest.split()[0]
                command = command.commands[first if first in command.commands else "summary"]
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"(?<= )--[\w-]+", rest.partition(" #")[0])) <= known, (verb, rest)
