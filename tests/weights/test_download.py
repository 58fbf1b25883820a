"""The real downloader against a server on this machine: whatever that does, the name holds the right file or none."""

from __future__ import annotations

import errno
import hashlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request

import pytest

from baimu.errors import DownloadError
from baimu.weights import download as module
from baimu.weights.download import download

from .server import Server, serve

CONTENT = bytes(range(256)) * 3000  # 750 KiB, several pieces
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = {"timeout": 0.3, "pause": 0.01, "attempts": 3}


@pytest.fixture
def path(cache: Path) -> Path:
    return cache / "source" / "weights.pth"


def names(path: Path) -> list[str]:
    """What lies beside ``path``, itself included."""
    return sorted(p.name for p in path.parent.iterdir()) if path.parent.exists() else []


def leave_part(path: Path, content: bytes, stamp: str) -> None:
    """As a download that was killed leaves it."""
    path.parent.mkdir(parents=True)
    path.with_name("weights.pth.part").write_bytes(content)
    path.with_name("weights.pth.part.stamp").write_text(stamp)


def test_the_file_arrives_whole_and_alone(server: Server, path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    url = server.put("/weights.pth", CONTENT)
    assert download(url, path, sha256=SHA256, report=lambda *now: seen.append(now)) == path
    assert path.read_bytes() == CONTENT
    assert names(path) == ["weights.pth"], "no part, no stamp, no lock is left"
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_published_prefix_is_enough_and_what_is_here_is_not_fetched_again(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT)
    download(url, path, sha256=SHA256[:8])
    download(url, path, sha256=SHA256[:8])
    assert len(server.asked) == 1


def test_a_wrong_file_of_that_name_is_replaced(server: Server, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    download(server.put("/weights.pth", CONTENT), path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_redirects_are_followed(server: Server, path: Path) -> None:
    server.put("/there", CONTENT)
    server.put("/between", location="/there")
    download(server.put("/here", location=f"{server.url}/between"), path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["/here", "file:///etc/hostname", "ftp://127.0.0.1/weights.pth", "data:,weights"])
def test_circles_and_other_schemes_are_not_followed(server: Server, path: Path, target: str) -> None:
    url = server.put("/here", location=target)
    with pytest.raises(DownloadError, match=f"{url}: redirected to {target}, which is not followed"):
        download(url, path)
    assert names(path) == []


def test_no_redirect_leads_from_https_to_http() -> None:
    follow = module._Redirects().redirect_request
    start = Request("https://a.example/weights.pth")
    with pytest.raises(DownloadError, match=r"redirected to http://b\.example/weights\.pth, which is not followed"):
        follow(start, None, 302, "Found", {}, "http://b.example/weights.pth")
    onward = follow(start, None, 302, "Found", {}, "https://b.example/weights.pth")
    assert onward.full_url == "https://b.example/weights.pth"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "weights.pth", "data:,a"])
def test_only_http_addresses_are_opened(path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="only http and https"):
        download(url, path)


def test_a_stall_ends_in_a_named_error_and_what_arrived_is_kept(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, always="stall", cut_at=1000)
    with pytest.raises(
        DownloadError, match=rf"{url}: nothing arrived for 0.1 seconds, 3 times in a row; 0.0 MiB are k"
    ):
        download(url, path, sha256=SHA256, timeout=0.1, pause=0.01, attempts=3)
    assert server.ranges("/weights.pth") == [None, "bytes=1000-", "bytes=2000-"]
    assert names(path) == ["weights.pth.part", "weights.pth.part.stamp"]
    assert path.with_name("weights.pth.part").read_bytes() == CONTENT[:3000]


@pytest.mark.parametrize("mood", ["stall", "cut"])
def test_a_passing_stall_or_break_is_continued_where_it_stopped(server: Server, path: Path, mood: str) -> None:
    url = server.put("/weights.pth", CONTENT, first=[mood], cut_at=300_000)
    download(url, path, sha256=SHA256, **QUICK)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == [None, "bytes=300000-"]


def test_a_stall_just_before_the_end_costs_only_what_is_missing(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, first=["stall"], cut_at=len(CONTENT) - 1)
    download(url, path, sha256=SHA256, **QUICK)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == [None, f"bytes={len(CONTENT) - 1}-"]


def test_a_connection_that_is_reset_is_opened_again(server: Server, path: Path) -> None:
    """What had arrived and was not read yet is lost with it."""
    url = server.put("/weights.pth", CONTENT, first=["reset", "reset"], cut_at=300_000)
    download(url, path, sha256=SHA256, **QUICK)
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 3
    assert names(path) == ["weights.pth"]


def test_a_redirect_to_another_host_is_followed_and_resumed(server: Server, path: Path) -> None:
    """As publishers' stores do; the part goes on at the other host."""
    with serve() as other:
        there = other.put("/there", CONTENT, first=["cut"], cut_at=300_000)
        download(server.put("/weights.pth", location=there), path, sha256=SHA256, **QUICK)
        assert other.ranges("/there") == [None, "bytes=300000-"]
    assert path.read_bytes() == CONTENT
    assert names(path) == ["weights.pth"]


def test_a_truncated_file_never_gets_the_name(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, always="cut", cut_at=500, ranges=False)
    with pytest.raises(DownloadError, match=r"the connection ended after 0.0 MiB of 0.7 MiB, 3 times in a row"):
        download(url, path, **QUICK)
    assert not path.exists()


def test_steady_progress_is_not_counted_as_failure(server: Server, path: Path) -> None:
    """Each connection breaks, but brings more than a quarter MiB: more of them than attempts are allowed."""
    content = CONTENT * 3
    url = server.put("/weights.pth", content, always="cut", cut_at=400_000)
    download(url, path, sha256=hashlib.sha256(content).hexdigest(), timeout=1, pause=0.001, attempts=2)
    assert len(server.asked) == 6


def test_a_wrong_hash_is_refused_with_both_hashes_and_nothing_is_kept(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", b"not the weights")
    found = hashlib.sha256(b"not the weights").hexdigest()
    with pytest.raises(DownloadError, match=f"{url}: its sha256 is {found} .*{SHA256}… was published.*{path}") as error:
        download(url, path, sha256=SHA256)
    assert "try again" in str(error.value)
    assert names(path) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<p>Sign in</p>", "text/html; charset=utf-8"),
        (b" \n<!DOCTYPE html><p>Sign in</p>", "application/octet-stream"),
        (b"<HTML><p>Quota exceeded</p>", "binary/octet-stream"),
    ],
)
def test_a_web_page_with_status_200_is_refused(server: Server, path: Path, content: bytes, kind: str) -> None:
    url = server.put("/weights.pth", content, kind=kind)
    with pytest.raises(DownloadError, match=f"{url}: a web page came instead of the file"):
        download(url, path, sha256=SHA256)
    assert names(path) == []


def test_a_login_page_in_between_does_not_cost_what_has_arrived(server: Server, path: Path) -> None:
    leave_part(path, CONTENT[:1000], '"1"')
    server.put("/weights.pth", b"<p>Sign in</p>", kind="text/html", etag='"page"')
    with pytest.raises(DownloadError, match="web page"):
        download(f"{server.url}/weights.pth", path, sha256=SHA256)
    server.put("/weights.pth", CONTENT)
    download(f"{server.url}/weights.pth", path, sha256=SHA256)
    assert server.ranges("/weights.pth") == ["bytes=1000-"] * 2


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_asked_again(server: Server, path: Path, status: int) -> None:
    url = server.put("/weights.pth", CONTENT, always=status)
    with pytest.raises(DownloadError, match=f"{url}: the server answered {status}"):
        download(url, path, **QUICK)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_error_is_asked_again(server: Server, path: Path, status: int) -> None:
    download(server.put("/weights.pth", CONTENT, first=[status, status]), path, sha256=SHA256, **QUICK)
    assert len(server.asked) == 3


def test_a_server_that_names_a_pause_gets_it_within_reason(server: Server, path: Path, monkeypatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    for asked in ("7", "86400", "Wed, 21 Oct 2037 07:28:00 GMT"):
        path.unlink(missing_ok=True)
        download(server.put("/weights.pth", CONTENT, first=[503], retry_after=asked), path, pause=0.5)
    assert [pause for pause in pauses if pause] == [7.0, 60.0, 0.5]  # those of no length are the server's


def test_a_proxy_of_the_environment_is_used(server: Server, path: Path, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    server.put("http://weights.example/weights.pth", CONTENT)  # as a proxy is asked
    download("http://weights.example/weights.pth", path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_a_lasting_error_ends(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, always=500)
    with pytest.raises(DownloadError, match=f"{url}: the server answered 500 .*, 3 times in a row"):
        download(url, path, **QUICK)


def test_a_closed_port_is_a_connection_that_broke(path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/weights.pth"
    with pytest.raises(DownloadError, match=r"the connection broke .*refused"):
        download(url, path, **QUICK)


def test_a_host_without_address_is_no_connection_and_not_asked_again(path: Path, monkeypatch) -> None:
    asked = []

    def resolve(*host: object, **_: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(DownloadError, match=r"no connection \(.*Name or service not known"):
        download("http://weights.example/a", path, **QUICK)
    assert len(asked) == 1


def test_a_killed_download_is_continued_by_another_process(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, slow=0.2)
    code = (
        f"from pathlib import Path; from baimu.weights.download import download; download({url!r}, Path({str(path)!r}))"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    part = path.with_name("weights.pth.part")
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    assert not path.exists()
    server.plans["/weights.pth"].slow = 0
    begun = time.monotonic()
    download(url, path, sha256=SHA256)
    assert time.monotonic() - begun < 5, "the lock died with its holder"
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == [None, f"bytes={kept}-"]
    assert names(path) == ["weights.pth"]


def test_what_was_whole_when_the_process_died_is_not_fetched_again(server: Server, path: Path) -> None:
    leave_part(path, CONTENT, '"1"')
    download(server.put("/weights.pth", CONTENT), path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_a_server_without_range_starts_again(server: Server, path: Path) -> None:
    leave_part(path, CONTENT[:1000], '"1"')
    download(server.put("/weights.pth", CONTENT, ranges=False), path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("names_it", ["etag", "modified"])
def test_a_file_that_changed_between_the_parts_starts_again(server: Server, path: Path, names_it: str) -> None:
    leave_part(path, b"older" * 200, "Mon, 01 Jan 2024 00:00:00 GMT" if names_it == "modified" else '"older"')
    stamp = {"etag": '"1"'} if names_it == "etag" else {"etag": None, "modified": "Tue, 02 Jan 2024 00:00:00 GMT"}
    download(server.put("/weights.pth", CONTENT, **stamp), path)  # no hash that would show it
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == ["bytes=1000-"]


def test_a_server_that_ignores_if_range_is_found_out_by_its_etag(server: Server, path: Path, monkeypatch) -> None:
    leave_part(path, b"older" * 200, '"older"')
    url = server.put("/weights.pth", CONTENT)
    honest = Request.__init__

    def without_if_range(self: Request, url: str, *, headers: dict[str, str]) -> None:
        honest(self, url, headers={k: v for k, v in headers.items() if k != "If-Range"})

    monkeypatch.setattr(Request, "__init__", without_if_range)
    download(url, path, **QUICK)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == ["bytes=1000-", None]


def test_a_part_continued_at_another_place_starts_again(server: Server, path: Path) -> None:
    leave_part(path, CONTENT[:1000], '"1"')
    download(server.put("/weights.pth", CONTENT, first=["wrong place"]), path, **QUICK)
    assert path.read_bytes() == CONTENT


def test_a_weak_etag_is_not_resumed_by(server: Server, path: Path) -> None:
    url = server.put("/weights.pth", CONTENT, etag='W/"1"', first=["cut"], cut_at=1000)
    download(url, path, sha256=SHA256, **QUICK)
    assert server.ranges("/weights.pth") == [None, None]


def test_a_part_longer_than_the_file_starts_again(server: Server, path: Path) -> None:
    leave_part(path, CONTENT + b"more", '"1"')
    download(server.put("/weights.pth", CONTENT), path, **QUICK)  # no hash that would show it
    assert path.read_bytes() == CONTENT


def test_a_damaged_part_costs_one_more_transfer_and_no_error(server: Server, path: Path) -> None:
    leave_part(path, b"x" * 1000, '"1"')
    download(server.put("/weights.pth", CONTENT), path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.ranges("/weights.pth") == ["bytes=1000-", None]


@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_fetch_once(server: Server, path: Path, processes: int) -> None:
    url = server.put("/weights.pth", CONTENT, slow=0.05)
    code = (
        "from pathlib import Path; from baimu.weights.download import download;"
        f"p = download({url!r}, Path({str(path)!r}), sha256={SHA256!r}); print(len(p.read_bytes()))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(processes)]
    assert [int(child.communicate(timeout=30)[0]) for child in started] == [len(CONTENT)] * processes
    assert server.ranges("/weights.pth") == [None]
    assert names(path) == ["weights.pth"]


def test_a_disk_without_room_is_said_before_the_first_byte(server: Server, path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(DownloadError, match=r"0.7 MiB are still to come and 0.0 MiB are free.*BAIMU_CACHE"):
        download(server.put("/weights.pth", CONTENT), path)
    assert not path.exists()


def test_a_disk_that_fills_up_keeps_what_has_arrived(server: Server, path: Path) -> None:
    """``/dev/full`` answers every write with ENOSPC, as a full disk does."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    path.parent.mkdir(parents=True)

    class PartOnAFullDisk(module.Part):
        def begin(self, stamp: str) -> None:
            super().begin(stamp)
            self.path.symlink_to(full)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Part", PartOnAFullDisk)
        with pytest.raises(DownloadError, match=f"{path}: the disk is full after .* MiB, which are kept; make room"):
            download(server.put("/weights.pth", CONTENT), path)
    assert not path.exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_be_written_names_the_variable(server: Server, path: Path, monkeypatch, code: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DownloadError, match=rf"{path}: cannot be written \(refused\); set BAIMU_CACHE"):
        download(server.put("/weights.pth", CONTENT), path)
    assert server.asked == []


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_offline_is_the_environments_word(monkeypatch, value: str, offline: bool) -> None:
    monkeypatch.setenv("BAIMU_OFFLINE", value)
    assert module.is_offline() is offline
