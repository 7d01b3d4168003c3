#!/bin/sh
# Runs once a day, at its first call. Called every hour, it catches up a night on which the machine was off.
cd "$(dirname "$0")/.." || exit 1
state=${TALLYSTICK_STATE:-state}
today=$(date +%F)
if [ "$(cat "$state/attempted" 2>/dev/null)" = "$today" ]; then exit 0; fi
mkdir -p -m 700 "$state"
echo "$today" >"$state/attempted"
.venv/bin/tallystick reconcile --quiet
code=$?
.venv/bin/tallystick alert "$code"
exit "$code"
