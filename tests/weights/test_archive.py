"""A checkpoint file is whole or not there, and any change of it is noticed."""

from __future__ import annotations

import errno
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from baimu.errors import CheckpointError
from baimu.weights import archive
from baimu.weights.archive import read_archive, read_document, write_archive

TENSORS = {
    "weights": torch.randn(3, 4, 2, 2).to(memory_format=torch.channels_last),
    "scalar": torch.tensor(1.5, dtype=torch.float64),
    "flags": torch.tensor([True, False, True]),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "half": torch.randn(7).to(torch.bfloat16),
    "empty": torch.zeros(0, 4),
    "not contiguous": torch.randn(4, 6)[:, ::2],
}
DOCUMENT = {"classes": ["Zelle", "細胞"], "nested": {"numbers": [1, 2.5, None, True]}}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_archive(path, TENSORS, DOCUMENT)
    tensors, document = read_archive(path)
    assert document == DOCUMENT == read_document(path)
    assert {n: t.dtype for n, t in tensors.items()} == {n: t.dtype for n, t in TENSORS.items()}
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_it_is_an_ordinary_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_archive(path, TENSORS, DOCUMENT)
    assert all(torch.equal(tensor, TENSORS[name]) for name, tensor in load_file(path).items())
    assert os.listdir(tmp_path) == ["a.safetensors"]


@settings(max_examples=60)
@given(st.data())
def test_any_changed_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    write_archive(path, TENSORS, DOCUMENT)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    assume(not same_but_for_white_space(whole, bytes(changed)))
    path.write_bytes(changed)
    with pytest.raises(CheckpointError, match=r"changed\.safetensors"):
        read_archive(path)


def same_but_for_white_space(one: bytes, other: bytes) -> bool:
    """The header's padding may become other white space: the content is the same."""
    headers = [b[8 : 8 + int.from_bytes(b[:8], "little")] for b in (one, other)]
    try:
        return one[:8] == other[:8] and headers[0] != headers[1] and json.loads(headers[0]) == json.loads(headers[1])
    except ValueError:
        return False


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_damaged(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.safetensors"
    write_archive(path, TENSORS, DOCUMENT)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(CheckpointError, match=r"a\.safetensors.*(damaged|not a safetensors file)"):
        read_archive(path)


def test_other_files_are_refused_unread(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(3)}, foreign)
    pickled = tmp_path / "pickled.pt"
    torch.save({"a": 1}, pickled)
    with pytest.raises(CheckpointError, match="without baimu's description"):
        read_archive(foreign)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        read_archive(pickled)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_archive(tmp_path / "absent.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_archive(tmp_path)


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_call_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.safetensors"
    write_archive(path, TENSORS, DOCUMENT)
    before = path.read_bytes()
    monkeypatch.setattr(archive.os, call, full_disk)
    with pytest.raises(
        CheckpointError, match=r"a\.safetensors: cannot be written \(No space left.*intact.*resume=True"
    ):
        write_archive(path, {"other": torch.zeros(9)}, {})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_a_disk_that_fills_at_any_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    write_archive(path, TENSORS, DOCUMENT)
    before = path.read_bytes()
    blocks = list(archive._blocks(TENSORS, {}))
    for good in range(len(blocks)):

        def failing(*_: Any, good: int = good) -> Any:
            yield from blocks[:good]
            full_disk()

        monkeypatch.setattr(archive, "_blocks", failing)
        with pytest.raises(CheckpointError, match="No space left"):
            write_archive(path, TENSORS, {})
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["a.safetensors"]


def test_a_real_limit_of_the_file_size_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_archive(path, TENSORS, DOCUMENT)
    before = path.read_bytes()
    child = os.fork()
    if child == 0:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        try:
            write_archive(path, {"large": torch.zeros(1 << 18)}, {})
        except CheckpointError as error:
            os._exit(0 if "File too large" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be written \(No such file or directory\)"):
        write_archive(tmp_path / "absent" / "a.safetensors", TENSORS, {})
