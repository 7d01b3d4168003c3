"""The schedules as shipped: their commands are really run, as each scheduler would, and what it must tell it tells."""

import configparser
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import dagster as dg
import pytest
import yaml
from conftest import ROOT, World, copy_project
from croniter import croniter

from pipelines import cli
from pipelines.alerts import STALE_AFTER_HOURS
from pipelines.failures import BadConfiguration, NotTrustworthy

BLOCKS = dict(re.findall(r"## (\S+).*?\n\n```sh\n(.*?)```", (ROOT / "docs/schedules.md").read_text(), re.S))
BARE = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "SHELL": "/bin/sh"}  # what cron gives
STUB = """#!/bin/sh
echo "$PWD: $*" >> "{project}/calls"
if [ "$1" = reconcile ]; then exit "$(cat "{project}/ends")"; fi
"""
REAL = """#!/bin/sh
PYTHONPATH="{project}" exec "{python}" -c 'from pipelines.cli import main; main()' "$@"
"""


@pytest.fixture
def installed(project: Path) -> Path:
    """A checkout whose command only writes down how it was called, and ends as the file `ends` says."""
    (project / "ends").write_text("0")
    return with_command(project, STUB)


def with_command(project: Path, script: str) -> Path:
    """`make setup` has nothing to do there."""
    command = project / ".venv/bin/tallystick"
    command.parent.mkdir(parents=True)
    command.write_text(script.format(project=project, python=sys.executable))
    command.chmod(0o755)
    (project / ".venv/.ready").touch()
    return project


def calls(project: Path) -> list[str]:
    """Since the last look."""
    told = (project / "calls").read_text().splitlines() if (project / "calls").exists() else []
    (project / "calls").unlink(missing_ok=True)
    assert all(line.startswith(f"{project}: ") for line in told), told
    return [line.partition(": ")[2] for line in told]


def crontab(project: Path) -> list[tuple[str, str]]:
    """Time and command of each line, as the documented command hands them to crontab."""
    pipeline = BLOCKS["cron"].rpartition("|")[0].replace("crontab -l", "true")
    text = subprocess.run(["sh", "-c", pipeline], cwd=project, capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=5) for line in text.splitlines() if not line.startswith("#")]
    return [(" ".join(fields), command) for *fields, command in lines]


def test_cron_runs_the_first_hour_of_a_day_and_tells_how_it_ended(installed):
    (_, nightly), (_, watch) = crontab(installed)
    cron = ["env", "-i", *(f"{name}={value}" for name, value in BARE.items()), "/bin/sh", "-c"]
    assert subprocess.run([*cron, nightly], cwd="/").returncode == 0
    assert calls(installed) == ["reconcile --quiet", "alert 0"]
    assert subprocess.run([*cron, nightly], cwd="/").returncode == 0
    assert calls(installed) == []
    (installed / "state/attempted").write_text(f"{date.today() - timedelta(days=1)}\n")
    (installed / "ends").write_text("3")
    assert subprocess.run([*cron, nightly], cwd="/").returncode == 3
    assert calls(installed) == ["reconcile --quiet", "alert 3"]
    assert subprocess.run([*cron, watch], cwd="/").returncode == 0
    assert calls(installed) == ["status --notify"]


@pytest.fixture
def units(installed: Path, tmp_path: Path) -> Path:
    """The units, put in place by the documented commands with another /etc, where systemctl is written down."""
    etc, tools = tmp_path / "etc", tmp_path / "tools"
    etc.mkdir()
    tools.mkdir()
    for name, script in {"sudo": 'exec "$@"', "systemctl": f'echo "$@" >> "{tmp_path}/systemctl"'}.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    documented = BLOCKS["systemd"].replace("/etc/systemd/system", str(etc))
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "USER": "root"}
    subprocess.run(["sh", "-e", "-c", documented], cwd=installed, env=environment, check=True)
    assert (tmp_path / "systemctl").read_text() == "daemon-reload\nenable --now tallystick.timer tallystick-watch.timer\n"
    return etc


def unit(file: Path) -> configparser.ConfigParser:
    read = configparser.ConfigParser(interpolation=None, strict=True)
    read.optionxform = str
    read.read(file)
    return read


def test_systemd_accepts_the_units_as_installed(units):
    verified = subprocess.run(["systemd-analyze", "verify", *sorted(units.iterdir())], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
    for timer in units.glob("*.timer"):
        assert unit(timer)["Timer"]["Persistent"] == "true"
        assert (units / f"{timer.stem}.service").exists()


def test_systemd_runs_and_tells_how_it_ended(units, installed):
    service = unit(units / "tallystick.service")["Service"]
    for ended in ("3", "KILL"):
        for step in ("ExecStart", "ExecStopPost"):
            words = [word.replace("${EXIT_STATUS}", ended) for word in shlex.split(service[step])]
            subprocess.run(words, cwd=service["WorkingDirectory"], env={"PATH": "/usr/bin:/bin"})
        assert calls(installed) == ["reconcile --quiet", f"alert {ended}"]
    watch = unit(units / "tallystick-watch.service")["Service"]
    subprocess.run(shlex.split(watch["ExecStart"]), cwd=watch["WorkingDirectory"], env={"PATH": "/usr/bin:/bin"})
    assert calls(installed) == ["status --notify"]


def workflow(name: str) -> dict:
    """YAML 1.1 reads the word on as true."""
    text = (ROOT / f"schedules/github-actions/{name}.yml").read_text()
    return yaml.safe_load(re.sub(r"^on:", '"on":', text, flags=re.M))


def play(name: str, project: Path, **environment: str) -> int:
    """Runs the workflow's own commands as a runner does; what it uses of others' is not there. Returns how the first that failed ended."""
    [job] = workflow(name)["jobs"].values()
    ended = 0
    for step in job["steps"]:
        if "run" in step and (not ended or "always()" in step.get("if", "")):
            bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            ran = subprocess.run(bash, cwd=project, env={**BARE, "HOME": str(project), **environment}, capture_output=True, text=True)
            ended = ended or ran.returncode
            assert "Traceback" not in ran.stderr, ran.stderr
    return ended


def test_a_workflow_runs_the_sample_and_hands_its_state_on_encrypted(project_template, tmp_path):
    first = with_command(copy_project(project_template, tmp_path / "first"), REAL)
    of_the_sample = {"STATE_KEY": "canary-state-key", "TALLYSTICK_AS_OF": "2026-03-03T12:00:00Z", "GITHUB_EVENT_NAME": "workflow_dispatch"}
    assert play("tallystick", first, **of_the_sample) == 0
    assert (first / "state/warehouse.duckdb").exists()
    encrypted = (first / "state.encrypted").read_bytes()
    assert encrypted.startswith(b"Salted__") and b"warehouse.duckdb" not in encrypted
    second = with_command(copy_project(project_template, tmp_path / "second"), REAL)
    (second / "state.encrypted").write_bytes(encrypted)
    assert play("tallystick-watch", second, **of_the_sample) == 0
    assert play("tallystick-watch", second, **of_the_sample | {"TALLYSTICK_AS_OF": "2026-03-04T01:00:00Z"}) == 0
    assert play("tallystick", second, **of_the_sample | {"STATE_KEY": "another"}) != 0


def test_a_scheduled_workflow_without_a_state_begins_no_history(installed):
    scheduled = {"STATE_KEY": "canary-state-key", "GITHUB_EVENT_NAME": "schedule"}
    assert play("tallystick", installed, **scheduled) == 2
    [told] = calls(installed)
    assert told.startswith("alert no state: ")
    assert play("tallystick", installed, **scheduled | {"GITHUB_EVENT_NAME": "workflow_dispatch"}) == 0
    assert calls(installed) == ["reconcile --quiet", "alert 0"]
    assert play("tallystick", installed, **scheduled) == 0
    assert calls(installed) == [], "a later schedule of the same day ran again"
    assert play("tallystick", installed, **scheduled | {"GITHUB_EVENT_NAME": "workflow_dispatch"}) == 0
    assert calls(installed) == ["reconcile --quiet", "alert 0"], "by hand it runs at any time"
    assert play("tallystick-watch", installed, STATE_KEY="canary-state-key") == 0
    assert calls(installed) == ["status --notify"]


def test_workflows_name_no_secret_and_never_run_side_by_side():
    for name in ("tallystick", "tallystick-watch"):
        asked = workflow(name)
        assert {"schedule", "workflow_dispatch"} == set(asked["on"]) and asked["permissions"] == {"contents": "read"}
        assert all(value.startswith("${{ secrets.") for variable, value in asked["env"].items() if variable != "DO_NOT_TRACK")
        [job] = asked["jobs"].values()
        saved = [step["with"]["path"] for step in job["steps"] if "cache" in step.get("uses", "")]
        assert set(saved) == {"state.encrypted"}
    assert workflow("tallystick")["concurrency"] == {"group": "tallystick", "cancel-in-progress": False}


@pytest.fixture
def definitions(installed: Path, monkeypatch) -> ModuleType:
    monkeypatch.delenv("TALLYSTICK_STATE", raising=False)
    found = importlib.util.spec_from_file_location("definitions", installed / "schedules/dagster/definitions.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("ends", "is_made", "is_trusted"), [("0", True, True), ("4", True, False), ("3", False, None)])
def test_dagster_tells_apart_trusted_untrusted_and_not_finished(definitions, installed, ends, is_made, is_trusted):
    (installed / "ends").write_text(ends)
    result = definitions.defs.resolve_job_def("nightly_job").execute_in_process(raise_on_error=False)
    assert (result.success, bool(result.asset_materializations_for_node("reconciliation"))) == (is_made, is_made)
    assert [check.passed for check in result.get_asset_check_evaluations()] == ([] if is_trusted is None else [is_trusted])
    assert calls(installed) == ["reconcile --quiet", f"alert {ends}"]


def test_dagster_asks_once_a_day_and_watches(definitions, installed):
    tick = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 3, 3, 3, 30, tzinfo=UTC))
    assert isinstance(definitions.nightly(tick), dg.RunRequest)
    (installed / "state").mkdir()
    (installed / "state/attempted").write_text(f"{date.today()}\n")
    assert isinstance(definitions.nightly(tick), dg.SkipReason)
    (installed / "state/attempted").write_text("2026-03-02\n")
    assert isinstance(definitions.nightly(tick), dg.RunRequest)
    assert definitions.watch.execute_in_process().success
    assert calls(installed) == ["status --notify"]
    assert {schedule.default_status for schedule in definitions.defs.schedules} == {dg.DefaultScheduleStatus.RUNNING}


def first_and_next(times: list[str]) -> tuple[datetime, datetime]:
    """Of cron's times, on the third of March and the day after."""
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    first = min(croniter(time, midnight).get_next(datetime) for time in times)
    return first, min(croniter(time, midnight + timedelta(days=1)).get_next(datetime) for time in times)


def of_systemd(timer: str) -> str:
    """As cron has it."""
    stated = unit(ROOT / f"schedules/systemd/{timer}.timer")["Timer"]["OnCalendar"]
    hour, minute, second = map(int, re.fullmatch(r"\*-\*-\* (\d\d):(\d\d):(\d\d)", stated).groups())
    shown = subprocess.run(["systemd-analyze", "calendar", stated], capture_output=True, text=True, check=True).stdout
    assert f"Normalized form: {stated}" in shown and second == 0
    return f"{minute} {hour} * * *"


@pytest.mark.parametrize("scheduler", ["cron", "systemd", "actions", "dagster"])
def test_a_missed_run_is_noticed_the_same_day_and_one_that_ran_is_not(scheduler, definitions, installed):
    run, watch = {
        "cron": lambda: [[time] for time, _ in crontab(installed)],
        "systemd": lambda: [[of_systemd("tallystick")], [of_systemd("tallystick-watch")]],
        "actions": lambda: [[at["cron"] for at in workflow(name)["on"]["schedule"]] for name in ("tallystick", "tallystick-watch")],
        "dagster": lambda: [[definitions.nightly.cron_schedule], [definitions.afternoon.cron_schedule]],
    }[scheduler]()
    (ran, _), (watched, watched_again) = first_and_next(run), first_and_next(watch)
    summer_time = timedelta(hours=1)
    assert watched - ran + summer_time < timedelta(hours=STALE_AFTER_HOURS) < watched_again - ran - summer_time


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, str]]:
    """What was handed to the messenger, which reaches one of two."""
    messages = []

    def send(title: str, body: str) -> list[str]:
        messages.append((title, body))
        return ["mailto-1 was not reached."]

    monkeypatch.setitem(sys.modules, "pipelines.notify", SimpleNamespace(send=send))
    monkeypatch.setattr("pipelines.notify", SimpleNamespace(send=send), raising=False)
    return messages


@pytest.fixture
def asked(first_night: World, monkeypatch) -> Iterator[World]:
    monkeypatch.setenv("TALLYSTICK_STATE", str(first_night.state))
    return first_night


@pytest.mark.parametrize("ended", ["0", "4", "6"])
def test_of_a_run_that_finished_nobody_is_told_again(asked, sent, ended):
    cli.alert(ended)
    assert sent == []


@pytest.mark.parametrize(
    ("ended", "says"),
    [("3", "exit code 3, a source failed"), ("1", "exit code 1, an internal error"), ("KILL", "How it ended: KILL."), ("137", "137.")],
)
def test_a_run_that_did_not_finish_is_told_with_what_is_published(asked, sent, capsys, ended, says):
    cli.alert(ended)
    [(title, body)] = sent
    assert title == "Tallystick: the run did not finish"
    assert says in body and "customers: STALE, last trusted run 000001-" in body
    assert capsys.readouterr().err == "mailto-1 was not reached.\n"


def test_stale_is_told_and_fresh_is_not(asked, sent, monkeypatch):
    monkeypatch.setenv("TALLYSTICK_AS_OF", "2026-03-04T14:00:00Z")
    cli.status(notify=True)
    assert sent == []
    monkeypatch.setenv("TALLYSTICK_AS_OF", "2026-03-04T16:00:00Z")
    with pytest.raises(NotTrustworthy):
        cli.status(notify=False)
    assert sent == []
    with pytest.raises(NotTrustworthy):
        cli.status(notify=True)
    [(title, body)] = sent
    assert title == "Tallystick: no trusted run of late"
    assert "older than 36 hours. Run make reconcile" in body and "contracts: STALE" in body


def test_that_nothing_ever_ran_is_told_too(tmp_path, sent, monkeypatch):
    monkeypatch.setenv("TALLYSTICK_STATE", str(tmp_path))
    with pytest.raises(BadConfiguration):
        cli.status(notify=True)
    cli.alert("2")
    assert [title for title, _ in sent] == ["Tallystick: no trusted run of late", "Tallystick: the run did not finish"]
    assert all("There is no" in body for _, body in sent)
