#!/bin/sh
# Make the virtual environment $1 for running ($2 = run) or developing ($2 = dev) Segue.
# Says what is missing on the system and the command that brings it; installs only what the lock files name.
set -eu
venv=$1
for_what=$2
python=${PYTHON:-python3}

if ! command -v "$python" >/dev/null 2>&1; then
  echo "segue: Python 3.11 or newer is missing. On Debian: sudo apt install python3 python3-venv" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "segue: $("$python" --version) is too old, 3.11 or newer is needed. Name another one: make PYTHON=python3.12 up" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
  echo "segue: Python's venv module is missing. On Debian: sudo apt install python3-venv" >&2
  exit 1
fi

[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
pip="$venv/bin/pip --disable-pip-version-check --quiet install"
if [ "$for_what" = run ]; then
  echo "segue: installing what it needs (once) ..."
  $pip --require-hashes -r requirements/build.txt -r requirements/runtime.txt
  $pip --no-deps --no-build-isolation --editable .
else
  echo "segue: installing what its tests need (once) ..."
  $pip --require-hashes -r requirements/test.txt
fi
