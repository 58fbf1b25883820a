"""Charts: what they draw is what they are given, hostile names stay text, empty input makes an empty chart."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest

from baimu.draw.charts import save
from baimu.draw.curves import confusion_matrix, label_statistics, precision_recall, training_curves

HOSTILE = ("_hidden", "$\\frac{1}{", "百目\nцель", "<b>&amp;" + "x" * 90)
RECALL = np.linspace(0, 1, 101)


def rows(epochs: int, windows: int = 4) -> list[dict[str, float]]:
    made = []
    for n in range(1, epochs * windows + 1):
        row = {"epoch": (n - 1) // windows + 1, "step": 25 * n, "cls": 1 / n, "box": 2 / n, "loss": 3 / n, "lr": 0.01}
        if n % windows == 0:
            row |= {"box_ap": 0.1 * n, "box_ap50": 0.2 * n}
        made.append({**row, "seconds": 1.5 * n})
    return made


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_losses_scores_and_rate_each_in_their_panel():
    losses, scores, rate = training_curves(rows(3)).axes
    assert [t.get_text() for t in losses.get_legend().get_texts()] == ["cls", "box", "loss"]
    assert [t.get_text() for t in scores.get_legend().get_texts()] == ["box_ap", "box_ap50"]
    assert [len(line.get_xdata()) for axes in (losses, scores, rate) for line in axes.lines] == [12] * 3 + [3] * 2 + [
        12
    ]
    assert scores.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert losses.lines[2].get_ydata()[3] == pytest.approx(0.75)


def test_texts_of_a_csv_file_do_as_well_and_a_bad_loss_is_a_gap(tmp_path):
    texts = [{k: str(v) for k, v in row.items()} for row in rows(2)]
    texts[2]["cls"] = "nan"
    texts[0]["box_ap"] = ""
    made = training_curves(texts)
    assert np.isnan(made.axes[0].lines[0].get_ydata()[2])
    assert len(made.axes[1].lines[0].get_xdata()) == 2
    assert save(made, tmp_path / "curves.png").stat().st_size > 5000


@pytest.mark.parametrize("some", [[], [{"epoch": 1, "lr": 0.1}], [{"loss": 1.0}], [{"step": 3, "loss": 1.0, "lr": 1}]])
def test_few_rows_make_a_chart(some, tmp_path):
    save(training_curves(some), tmp_path / "curves.png")


def test_precision_recall_leaves_out_classes_without_objects(tmp_path):
    precision = np.stack([1 - RECALL, np.full(101, -1.0), np.full(101, np.nan), 1 - RECALL**3])
    made = precision_recall(RECALL, precision, HOSTILE)
    names = [t.get_text() for t in made.axes[0].get_legend().get_texts()]
    assert len(names) == 3
    assert names[0] == "_hidden 0.500"
    assert names[-1].startswith("all 2 classes")
    assert np.allclose(made.axes[0].lines[-1].get_ydata(), 1 - (RECALL + RECALL**3) / 2)
    save(made, tmp_path / "pr.png")


def test_precision_recall_writes_the_given_ap_and_survives_no_class_at_all(tmp_path):
    made = precision_recall(RECALL, np.ones((1, 101)), ["cat"], ap=np.array([0.123]))
    assert made.axes[0].get_legend().get_texts()[0].get_text() == "cat 0.123"
    save(precision_recall(RECALL, np.full((2, 101), np.nan), ["a", "b"]), tmp_path / "none.png")
    many = precision_recall(RECALL, np.ones((80, 101)), [str(k) for k in range(80)])
    assert len(many.axes[0].get_legend().get_texts()) == 1


def test_confusion_matrix_shades_rows_and_counts_cells(tmp_path):
    counts = np.array([[8, 2, 0, 0, 0], [0, 5, 0, 0, 5], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, 0, 0, 0]])
    made = confusion_matrix(counts, HOSTILE)
    axes = made.axes[0]
    shares = axes.images[0].get_array()
    assert shares[0].tolist() == [0.8, 0.2, 0, 0, 0]
    assert shares[2].tolist() == [0] * 5
    assert sorted(t.get_text() for t in axes.texts) == sorted(["8", "2", "5", "5", "1", "1"])
    save(made, tmp_path / "confusion.png")
    drawn = [t.get_text() for t in axes.get_xticklabels()]
    assert drawn[:2] == ["_hidden", "$\\frac{1}{"]
    assert drawn[-1] == "background"


def test_eighty_classes_fit_and_carry_no_numbers(tmp_path):
    made = confusion_matrix(np.eye(81, dtype=int), [f"class {k}" for k in range(80)])
    assert not made.axes[0].texts
    save(made, tmp_path / "confusion.png", dpi=40)


@dataclass
class Some:
    labels: np.ndarray
    boxes: np.ndarray
    crowd: np.ndarray


@dataclass
class Set:
    """A data set of given labels, every object 10 x 20 pixels, the first of each image a crowd."""

    images: list[list[int]]
    classes: tuple[str, ...] = HOSTILE
    asked: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def objects(self, index: int) -> Some:
        self.asked.append(index)
        labels = np.array(self.images[index], np.int64)
        boxes = np.tile(np.array([5, 5, 15, 25], np.float32), (len(labels), 1))
        return Some(labels, boxes, np.arange(len(labels)) == 0)


def test_label_statistics_count_all_but_crowd(tmp_path):
    made = label_statistics(Set([[0, 1, 1], [2, 3], [0], []]))
    classes, sizes, per_image = made.axes
    assert [bar.get_width() for bar in classes.patches] == [0, 2, 0, 1]
    assert sizes.collections[0].get_array().sum() > 0
    assert [bar.get_height() for bar in per_image.patches] == [2, 1, 1]
    assert "4 images, 3 objects" in made.get_suptitle()
    save(made, tmp_path / "labels.png")


def test_label_statistics_of_nothing_and_of_too_much(tmp_path):
    save(label_statistics(Set([])), tmp_path / "none.png")
    save(label_statistics(Set([[], []])), tmp_path / "empty.png")
    large = Set([[0, 1]] * 1000, classes=tuple(f"c{k}" for k in range(300)))
    made = label_statistics(large, limit=50)
    assert len(large.asked) == 50
    assert large.asked[0] == 0
    assert large.asked[-1] == 999
    assert "50 of 1,000" in made.get_suptitle()
    assert len(made.axes[0].patches) == 60
    save(made, tmp_path / "large.png", dpi=40)


def test_save_leaves_no_half_file(tmp_path):
    save(training_curves(rows(1)), tmp_path / "deep" / "a.png")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_pyplot_is_never_imported():
    """It would keep every figure alive and, on a desk, open windows."""
    code = (
        "import sys, baimu.draw.curves as c, baimu.draw.boxes, baimu.draw.report;"
        "c.figure(1, 1); c.training_curves([]); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
