#!/usr/bin/env bash
# tools/setup.sh VENV core|dev: an environment with baimu in it (core), and with what tests and checks need too (dev).
# Uses uv where it can be had, else pip. Versions are those of constraints.txt, which the tests passed with.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 level=$2 python=$1/bin/python

runs() { "$@" >/dev/null 2>&1; }

if ! runs "$python" -c ''; then
  for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3.14 python3 python}; do
    if runs "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      found=$candidate
      break
    fi
  done
  if [ -z "${found:-}" ]; then
    echo "baimu needs Python 3.11 or newer; none of these is: ${PYTHON:-python3.11 to python3.14, python3, python}." >&2
    echo "Install one, or name it: make demo PYTHON=/path/to/python3.12" >&2
    exit 1
  fi
  echo "setting up $venv with $("$found" --version)"
  "$found" -m venv "$venv" || { echo "Python's venv module failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
fi

wanted=(--constraint constraints.txt --editable .)
if [ "$level" = dev ]; then wanted+=(--group dev); fi

if runs uv --version; then
  uv pip install --quiet --python "$python" "${wanted[@]}"
elif { runs "$python" -m uv --version || "$python" -m pip install --quiet uv; }; then
  "$python" -m uv pip install --quiet --python "$python" "${wanted[@]}"
else
  "$python" -m pip install --quiet --upgrade pip  # dependency groups came with pip 25.1
  "$python" -m pip install --quiet "${wanted[@]}"
fi
