"""``python -m baimu`` is ``baimu``."""

from baimu.cli.main import run

run()
