"""Hundreds of hostile files through the reader, each in its own child: right pixels, or one error that names it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baimu.datasets.images import decode_image, image_size
from baimu.datasets.transforms import to_input
from baimu.errors import ImageError
from baimu.preprocess import Preprocess
from tests.hostile.case import Case, noise, right
from tests.hostile.cases import all_cases, light_cases
from tests.hostile.guard import guarded
from tests.hostile.written import END, PNG, chunk, png, png_header

SECONDS, MEGABYTES = 2.0, 1000.0


def test_every_file_gives_right_pixels_or_an_error_that_names_it(tmp_path: Path) -> None:
    """Each within 2 s of processor time and 1 GB; none ends its process. What is seen: 0.1 s and 5 MB at most."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.hostile.measure", "--light", "--out", str(report)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert report.exists(), done.stderr
    found = json.loads(report.read_text("utf-8"))
    assert found["cases"] == len(light_cases())
    assert found["wrong"] == []
    assert found["most seconds"] <= SECONDS
    assert found["most megabytes"] <= MEGABYTES


def test_the_collection_is_as_large_as_is_said() -> None:
    outcomes = Counter(case.outcome for case in all_cases())
    assert outcomes["right"] >= 250
    assert outcomes["refused"] >= 100
    assert sum(outcomes.values()) >= 600


def test_a_judge_that_sees_wrong_pixels_a_missing_name_and_a_missing_error(tmp_path: Path) -> None:
    path, flat = tmp_path / "a.png", noise()
    case = right("noise", png(flat), flat)
    path.write_bytes(png(flat))
    assert case.judge(path, lambda: decode_image(path)) == ""
    assert "away from the right pixels" in case.judge(path, lambda: flat[::-1].copy())
    assert "became" in case.judge(path, lambda: np.ascontiguousarray(flat.swapaxes(0, 1)))

    def nameless() -> np.ndarray:
        raise ImageError("damaged")

    assert "was refused" in case.judge(path, nameless)
    wrong = Case("noise", "refused", says="truncated")
    assert "was read" in wrong.judge(path, lambda: flat)
    assert "does not begin with the path" in wrong.judge(path, nameless)


@pytest.mark.parametrize(
    ("work", "died"),
    [
        (lambda: os.abort(), "SIGABRT"),
        (lambda: os._exit(3), "status 3"),
        (lambda: time.sleep(60), "no answer"),
        (lambda: bytearray(8 << 30), "status 1"),
    ],
)
def test_a_guard_that_sees_a_process_die(work, died: str) -> None:
    assert died in guarded(work, seconds=1).died


def test_a_guard_that_sees_what_is_held_and_for_how_long() -> None:
    def work() -> int:
        end = time.process_time() + 0.2
        held = bytearray(os.urandom(1 << 20)) * 300
        while time.process_time() < end:
            pass
        return len(held)

    outcome = guarded(work)
    assert outcome.value == 300 << 20
    assert outcome.seconds >= 0.2
    assert 300 < outcome.megabytes < 400


def test_the_bound_of_pixels_is_lower_for_decoders_that_hold_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within Pillow's own bound, and raised with it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    picture = Image.new("RGB", (80, 60))
    for form, limit in (("PNG", 10_000), ("WEBP", 6666), ("AVIF", 8571), ("JPEG2000", 3333)):
        for side, allowed in ((int(limit**0.5), True), (int(limit**0.5) + 1, False)):
            data = _as_bytes(picture.resize((side, side)), form)
            if allowed:
                assert image_size(data) == (side, side)
            else:
                with pytest.raises(ImageError, match=f"has more than {limit} pixels.*raise PIL.Image.MAX_IMAGE_PIXELS"):
                    image_size(data)


def _as_bytes(picture: Image.Image, form: str) -> bytes:
    import io

    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


def test_large_images_come_in_bands_as_small_ones_come_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [
        case
        for case in all_cases()
        if case.outcome == "right" and not case.heavy and case.make and case.pixels is not None
    ]
    kinds = [
        c for c in cases if "stored as" in c.name or c.name.startswith(("png of colour", "float", "signed", "lab"))
    ]
    assert len(kinds) > 100
    whole = {case.name: decode_image(case.make()) for case in kinds if case.make}
    monkeypatch.setattr("baimu.datasets.images._BAND", 160)  # four rows
    for case in kinds:
        assert case.make
        np.testing.assert_array_equal(decode_image(case.make()), whole[case.name], err_msg=case.name)


def test_pixels_that_end_early_are_seen_and_black_ones_are_not_mistaken_for_them() -> None:
    import zlib

    black = np.zeros((24, 40, 3), np.uint8)
    for interlaced in (False, True):
        np.testing.assert_array_equal(decode_image(png(black, interlaced=interlaced)), black)
        lines = zlib.decompress(png(noise(), interlaced=interlaced)[41:-16])
        for left_out in (1, 100, len(lines) // 2):
            part = chunk(b"IDAT", zlib.compress(lines[:-left_out]))
            data = PNG + png_header(40, 24, interlaced=interlaced) + part + END
            with pytest.raises(ImageError, match="damaged or truncated"):
                decode_image(data)


@pytest.mark.parametrize("shape", [(1, 65_535, 3), (65_535, 1, 3)])
@pytest.mark.parametrize("resize", ["shortest", "letterbox", "stretch", "crop", "height", "none"])
def test_the_longest_lines_become_input(shape: tuple[int, int, int], resize: str) -> None:
    """Scaled whole for a classifier's crop such a line would be billions of pixels."""
    line = np.full(shape, 9, np.uint8)
    preprocess = Preprocess(resize=resize, size=224, max_size=500)  # type: ignore[arg-type]
    outcome = guarded(lambda: to_input(line, preprocess), memory=2 << 30)
    assert not outcome.died
    pixels, frame = outcome.value
    assert pixels.shape[:2] == frame.size
    assert (pixels == 9).all()
    assert outcome.megabytes < MEGABYTES


def test_the_middle_of_a_long_image_is_the_same_scaled_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the pixels whose filter would have seen beyond its edge."""
    ramp = np.repeat(np.linspace(0, 255, 3000).astype(np.uint8)[None, :, None], 3, 2).repeat(12, 0)
    preprocess = Preprocess(resize="crop", size=224)
    whole, frame = to_input(ramp, preprocess)
    monkeypatch.setattr("baimu.datasets.transforms.WHOLE", 1000)
    alone, same = to_input(ramp, preprocess)
    assert frame == same
    assert np.abs(alone.astype(int) - whole)[:, 32:-32].max() <= 1
