"""What tasks share: parts of a step, what a checkpoint knows its data by, who draws."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from baimu.datasets.source import Splits
from baimu.errors import BaimuError
from baimu.targets import Batch
from baimu.training.share import Share
from baimu.training.step import PhaseSpec
from tests.training.small_classes import CLASSES, colours
from tests.training.tiny import RECIPE, make_batch

HERE: Any = SimpleNamespace(device="cpu", process_index=0, num_processes=1, is_main_process=True)
OTHER: Any = SimpleNamespace(device="cpu", process_index=1, num_processes=2, is_main_process=False)
SPLITS = Splits(colours(12), colours(5))


class Few(SimpleNamespace):
    def figures(self) -> dict[str, float]:
        return {"score": 0.5}

    def __str__(self) -> str:
        return "half"


class Colours(Share):
    """Batches of one image, whose numbers say what was asked for."""

    def batches(self, recipe: Any, **part: int) -> Iterable[Batch]:
        self.asked = {"workers": recipe.workers, **part}
        return (make_batch([i]) for i in range(part.get("skip", 0), 12))

    @staticmethod
    def score_model(model: Any, source: Any, **options: Any) -> Any:
        model.scored.append((source, options))
        return Few()

    def draw_data(self, folder: Path) -> None:
        (folder / "data.txt").write_text(self.first_batch().names[0])

    @staticmethod
    def draw_scores(folder: Path, splits: Splits[Any], model: Any, scores: Any) -> None:
        (folder / "scores.txt").write_text(f"{len(splits.val)} {scores}")


def share(accelerator: Any = HERE, kind: type[Share] = Colours, **changes: Any) -> Any:
    own = {key: changes.pop(key) for key in ("length", "known") if key in changes}
    model = SimpleNamespace(preprocess="preprocess", scored=[])
    return kind(SPLITS, model, RECIPE.replace(workers=2, **changes), accelerator, **own), model


def test_a_step_has_equal_parts_and_goes_on_where_it_stopped() -> None:
    task, _ = share(accumulate=2)
    steps = [[part.names[0] for part in parts] for parts in task.steps(3, 4)]
    assert steps == [["image 8", "image 9"], ["image 10", "image 11"]]
    assert task.asked == {"workers": 2, "epoch": 3, "rank": 0, "world": 1, "skip": 8}
    assert len(list(task.steps(3, 0))) == 6


def test_a_process_asks_for_its_own() -> None:
    task, _ = share(OTHER)
    next(task.steps(0, 1))
    assert task.asked == {"workers": 2, "epoch": 0, "rank": 1, "world": 2, "skip": 1}
    with pytest.raises(BaimuError, match="batch_size=4 must be a multiple of 2 processes x accumulate=4"):
        share(OTHER, accumulate=4)


def test_a_checkpoint_knows_its_data_again() -> None:
    assert share()[0].fingerprint == {"classes": list(CLASSES), "train_images": 12, "val_images": 5}

    class Lines(Colours):
        unit = "lines"
        phases = (PhaseSpec("read"),)

    task, _ = share(kind=Lines, known={"characters": "ab"}, length=40)
    assert task.fingerprint == {"characters": "ab", "train_lines": 12, "val_lines": 5}
    assert (task.steps_per_epoch, share()[0].steps_per_epoch) == (10, 3)


def test_scores_are_of_the_held_out_split() -> None:
    task, model = share(OTHER, batch_size=12, accumulate=3)
    assert task.evaluate(model) == {"score": 0.5}
    task.scores(model, most=3)
    (source, options), (_, more) = model.scored
    assert source is SPLITS.val
    assert options == {"batch_size": 2, "workers": 2, "accelerator": OTHER}
    assert more == {**options, "most": 3}


def test_pictures_are_drawn_by_the_first_process(tmp_path: Path) -> None:
    task, model = share()
    task.draw_data(tmp_path)
    assert (tmp_path / "data.txt").read_text() == "image 0"
    assert task.asked == {"workers": 0, "epoch": 0, "world": 1}
    task, model = share(OTHER)
    assert task.draw_results(model, tmp_path) == "half"
    assert len(model.scored) == 1, "each process has its share of the images to score"
    assert not (tmp_path / "scores.txt").exists()
    task, model = share()
    task.draw_results(model, tmp_path)
    assert (tmp_path / "scores.txt").read_text() == "5 half"


def test_a_task_without_its_answers_is_none() -> None:
    class Idle(Share):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Idle(SPLITS, SimpleNamespace(preprocess=None), RECIPE, HERE)  # pyright: ignore[reportAbstractUsage]
