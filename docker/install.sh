#!/bin/sh
# install.sh SOURCE VENV: install tollbridge from a source tree into a new virtual environment,
# with exactly the packages of lock/run.txt.
set -eu
source=$1
venv=$2
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
  --require-hashes -r "$source/lock/run.txt"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps "$source"
