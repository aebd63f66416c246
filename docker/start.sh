#!/bin/sh
# start.sh VENV CONFIG: check the settings and the machine, then serve; signals reach the bridge.
set -eu
venv=$1
config=$2
"$venv/bin/tollbridge" doctor --config "$config"
exec "$venv/bin/tollbridge" serve --config "$config" --json-log
