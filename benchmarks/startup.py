"""Time of a fresh process: ``import baimu``, ``baimu --help``, and torch's own import for scale. Medians of the turns.

python benchmarks/startup.py --out benchmarks/results/startup.json
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python": "pass",
    "import baimu": "import baimu",
    "baimu --help": "from baimu.cli.main import run; import sys; sys.argv = ['baimu', '--help']; run()",
    "import torch": "import torch",
}


def run(code: str) -> tuple[float, float]:
    """Wall and CPU seconds of a new interpreter that runs ``code``."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/startup.json"))
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for turn in range(options.turns + 1):
        for name, code in COMMANDS.items():
            taken = run(code)
            if turn:  # the first round only warms the disk cache
                times[name].append(taken)
    results = {
        name: {"wall_s": statistics.median(t[0] for t in taken), "cpu_s": statistics.median(t[1] for t in taken)}
        for name, taken in times.items()
    }
    print(json.dumps(results, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
