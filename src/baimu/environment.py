"""The machine and the software that a result depends on: what a bug report needs."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from baimu.errors import BaimuError, UnknownNameError

VECTOR_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8", "asimd", "bf16")
"""Processor features that decide how fast torch runs on it."""


@dataclass(frozen=True)
class Environment:
    """What :func:`env` finds. ``str()`` of it is the table that ``baimu env`` prints."""

    baimu: str
    python: str
    system: str
    processor: str
    cores: int  # that this process may use
    vector_flags: tuple[str, ...]
    memory_gib: float  # of the machine, or the container's limit where that is lower
    threads: int  # that torch computes with
    devices: tuple[str, ...]  # accelerators, with their memory
    packages: dict[str, str | None]  # required package → version
    extras: dict[str, str | None]  # optional package → version, None where it is not installed

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        def versions(found: Mapping[str, str | None]) -> str:
            return ", ".join(f"{name} {version or '(missing)'}" for name, version in found.items())

        present = {name: version for name, version in self.extras.items() if version}
        absent = [name for name, version in self.extras.items() if not version]
        rows = {
            "baimu": self.baimu,
            "python": self.python,
            "system": self.system,
            "processor": f"{self.processor}, {self.cores} cores, {self.memory_gib:.1f} GiB",
            "features": " ".join(self.vector_flags) or "none known",
            "devices": ", ".join(self.devices) or "cpu only",
            "threads": str(self.threads),
            "packages": versions(self.packages),
            "extras": versions(present) + (f"; not installed: {', '.join(absent)}" if absent else ""),
        }
        return "\n".join(f"{name:<10} {value}" for name, value in rows.items())


def device_of(name: Any) -> Any:
    """The ``torch.device`` of a name.

    Raises :class:`~baimu.errors.UnknownNameError` for what names none, and :class:`~baimu.errors.BaimuError` for one
    that is not here.
    """
    import torch

    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise UnknownNameError(
            f"unknown device {name!r}; write cpu, cuda (the first GPU), cuda:1 (the second), mps or xpu"
        ) from None
    backend = getattr(torch, device.type, None)
    count = getattr(backend, "device_count", None)
    if device.type in ("cuda", "mps", "xpu") and count is not None and (device.index or 0) >= (there := count()):
        what = f"{there} of that kind, from {device.type}:0" if there else "none of that kind"
        raise BaimuError(
            f"device={name}: torch {torch.__version__} finds {what} on this machine; leave the device away or write "
            "cpu, and see baimu env for what is here"
        )
    return device


def env() -> Environment:
    """Versions, processor, memory and accelerators of this machine. Imports torch, and nothing else that is heavy."""
    import torch

    from baimu import __version__

    name, flags = _processor()
    required, optional = _requirements()
    return Environment(
        baimu=__version__,
        python=f"{platform.python_version()} ({sys.executable})",
        system=platform.platform(),
        processor=name,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        vector_flags=tuple(flag for flag in VECTOR_FLAGS if flag in flags),
        memory_gib=_memory() / 2**30,
        threads=torch.get_num_threads(),
        devices=_devices(),
        packages={package: _version(package) for package in required},
        extras={package: _version(package) for package in optional},
    )


def _read(path: str) -> str:
    """The text of a system file, empty where this system has none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _processor() -> tuple[str, set[str]]:
    text = _read("/proc/cpuinfo")
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return (name[1] if name else platform.processor() or platform.machine(), set(flags[1].split()) if flags else set())


def _memory() -> int:
    """Bytes this process can have: the machine's, or the container's limit where that is lower; 0 if unknown."""
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, macOS not every name
        machine = 0
    return min(machine, int(limit)) if limit.isdigit() and machine else machine


def _devices() -> tuple[str, ...]:
    import torch

    found = []
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        found.append(f"cuda:{i} {properties.name} {properties.total_memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        found.append("mps")
    if torch.xpu.is_available():
        found += [f"xpu:{i} {torch.xpu.get_device_name(i)}" for i in range(torch.xpu.device_count())]
    return tuple(found)


def _requirements() -> tuple[list[str], list[str]]:
    """Names of the packages that baimu requires, and of those that its extras add."""
    required, optional = [], []
    for line in metadata.requires("baimu") or ():
        name = re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0]
        (optional if "extra ==" in line else required).append(name)
    return required, optional


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
