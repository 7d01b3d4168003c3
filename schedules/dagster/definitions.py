"""Tallystick as a Dagster asset, with its schedules; docs/schedules.md says how to start it."""

import os
import subprocess
from datetime import date
from pathlib import Path

import dagster as dg

PROJECT = Path(__file__).resolve().parents[2]
STATE = PROJECT / os.environ.get("TALLYSTICK_STATE", "state")
FINISHED, UNTRUSTED = (0, 4), 4
TRUSTED = dg.AssetCheckSpec("trusted", asset="reconciliation", description="Every pair passed its trust checks.")


@dg.asset(check_specs=[TRUSTED])
def reconciliation() -> dg.MaterializeResult:
    """The published warehouse and what follows it. Where a pair was not trusted its list is the one before."""
    ended = subprocess.run([PROJECT / "schedules/nightly.sh"], env={**os.environ, "TALLYSTICK_STATE": str(STATE)})
    if ended.returncode not in FINISHED:
        raise dg.Failure(f"The run did not finish: exit code {ended.returncode}. What is published is as it was; its log says why.")
    warehouse = dg.MetadataValue.path(STATE / "warehouse.duckdb")
    return dg.MaterializeResult(
        metadata={"warehouse": warehouse},
        check_results=[dg.AssetCheckResult(passed=ended.returncode != UNTRUSTED, check_name=TRUSTED.name)],
    )


@dg.op
def stale_is_told() -> None:
    subprocess.run([PROJECT / ".venv/bin/tallystick", "status", "--notify"], cwd=PROJECT, check=True)


@dg.job
def watch() -> None:
    """Fails, and tells people, where no run of the last 36 hours was trusted."""
    stale_is_told()


nightly_job = dg.define_asset_job("nightly_job", [reconciliation])


@dg.schedule(job=nightly_job, cron_schedule="30 3-23 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly() -> dg.RunRequest | dg.SkipReason:
    """Once a day: the later hours are for days on which nothing could run at the first."""
    attempted = STATE / "attempted"
    if attempted.exists() and attempted.read_text().strip() == date.today().isoformat():
        return dg.SkipReason("It ran today.")
    return dg.RunRequest()


afternoon = dg.ScheduleDefinition(name="afternoon", job=watch, cron_schedule="0 17 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)

defs = dg.Definitions(assets=[reconciliation], jobs=[nightly_job, watch], schedules=[nightly, afternoon])
