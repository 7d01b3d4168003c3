"""Runs that are killed, starved, doubled or find damage: yesterday stays, and the next run puts things right."""

import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import duckdb
import pytest
from conftest import TABLES, Ran, World, contents, wait_for

from pipelines import run
from pipelines.failures import Failure


def wait_until_unlocked(world: World) -> float:
    """A killed run's dbt process notices and ends; until then it holds the lock. Returns the seconds that took."""
    began = time.monotonic()
    with (world.state / "lock").open("r+") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return time.monotonic() - began
            except BlockingIOError:
                assert time.monotonic() < began + 20, "the killed run's children still hold the lock"
                time.sleep(0.05)


def test_a_second_run_exits_5_and_the_first_is_not_disturbed(second_night):
    assert second_night.second.code == 5
    assert second_night.second.says("Another run holds", "lock", "Nothing was touched")
    assert (second_night.ran.code, second_night.ran.err) == (0, "")


def test_a_reader_neither_blocks_a_run_nor_is_blocked(second_night):
    assert second_night.seen_by_reader == {1}, "an open reader keeps the file it opened"
    assert second_night.seen_by_newcomers == {1, 2}


def test_every_published_relation_stands_alone(second_night, tmp_path):
    assert not list(second_night.world.state.rglob("*.wal"))
    alone = shutil.copy(second_night.world.warehouse, tmp_path / "alone.duckdb")
    with duckdb.connect(alone, read_only=True) as connection:
        relations = connection.execute(
            "select table_schema, table_name, table_type from information_schema.tables where table_catalog = 'alone'"
        ).fetchall()
        assert {("marts", table, "BASE TABLE") for table in TABLES} <= set(relations)
        for schema, name, kind in relations:
            assert kind == "BASE TABLE"
            connection.execute(f'select * from "{schema}"."{name}"').fetchall()


def test_files_are_for_their_owner_alone(second_night):
    everything = [second_night.world.state, *second_night.world.state.rglob("*")]
    too_open = {
        str(path.relative_to(second_night.world.state)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in everything
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    assert not too_open
    assert stat.S_IMODE(second_night.world.warehouse.stat().st_mode) == 0o600


def test_a_trusted_run_leaves_nothing_half_made(second_night):
    left = second_night.world.state.iterdir()
    assert sorted("exports of a run" if path.name.startswith("exports-") else path.name for path in left) == [
        "before", "exports", "exports of a run", "lock", "logs", "report.html", "snapshot.duckdb", "target", "warehouse.duckdb",
    ]  # fmt: skip


def test_half_an_export_exits_4_and_changes_no_difference(yesterday):
    before = yesterday.differences()
    yesterday.use_night(2)
    for table in ("customers", "subscriptions"):
        yesterday.cut(yesterday.billing / f"{table}.csv", 0.5)
    ran = yesterday.reconcile(TALLYSTICK_AS_OF="2026-03-04T03:00:00Z")
    assert ran.code == 4
    assert "NOT TRUSTWORTHY: customers, contracts" in ran.out
    assert "Not trustworthy: customers, contracts" in (yesterday.state / "report.html").read_text(encoding="utf-8")
    assert yesterday.differences() == before
    assert yesterday.verdicts() == {"customers": "not trustworthy", "contracts": "not trustworthy"}
    assert yesterday.query("select count(distinct run_id) from marts.runs") == [(2,)]
    assert ("customers", "right", "no_implausible_drop") in yesterday.failed_checks()
    assert re.search(r"\bFAIL .*assert_no_side_lost_a_fifth_of_its_records", (yesterday.state / "logs/dbt.log").read_text())


@pytest.mark.parametrize("fault", ["SQL that fails to run", "a project that does not parse"])
def test_a_broken_model_exits_1_and_yesterday_stays(yesterday, project, fault):
    yesterday.project = project
    before = yesterday.fingerprint()
    model = yesterday.project / "models/marts/discrepancies.sql"
    if fault == "SQL that fails to run":
        model.write_text(model.read_text().replace("history.record_key,", "(history.record_key || 'x')::integer::varchar as record_key,"))
    else:
        (yesterday.project / "models/marts/_marts__models.yml").write_text("models: [")
    ran = yesterday.reconcile()
    assert (ran.code, yesterday.fingerprint()) == (1, before)
    assert ran.says("dbt failed", "Nothing was published")


def kill_after(world: World, seconds: float) -> None:
    process = world.start("reconcile")
    time.sleep(seconds)
    process.kill()
    process.communicate()
    wait_until_unlocked(world)


def test_kill_9_at_a_spread_of_points_leaves_old_or_new(second_night, yesterday):
    old, new = contents(yesterday), contents(second_night.world)
    yesterday.use_night(2)
    for share in (0.1, 0.5, 0.9):
        kill_after(yesterday, share * second_night.seconds)
        assert contents(yesterday) in (old, new), f"killed after {share:.0%} of a run"
    assert yesterday.reconcile().code == 0
    assert contents(yesterday) == new


@pytest.mark.sweep
@pytest.mark.parametrize("point", range(40))
def test_kill_9_everywhere(second_night, yesterday, point):
    old, new = contents(yesterday), contents(second_night.world)
    yesterday.use_night(2)
    kill_after(yesterday, second_night.seconds * point / 39)
    assert contents(yesterday) in (old, new)
    assert yesterday.reconcile().code == 0
    assert contents(yesterday) == new


DIE_AT_SWAP = """
import os, signal
from rich.console import Console
from pipelines import progress, run
swap, done = os.replace, []
def die_or_swap(source, target):
    if str(target).endswith(".duckdb"):
        if len(done) == {swapped}:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(target)
    swap(source, target)
os.replace = die_or_swap
run.reconcile(progress.Plain(Console()))
"""


def test_kill_9_before_and_between_the_two_swaps_converges(second_night, yesterday):
    old, new = contents(yesterday), contents(second_night.world)
    yesterday.use_night(2)
    for swapped in (0, 1):
        killed = subprocess.run(
            [sys.executable, "-c", DIE_AT_SWAP.format(swapped=swapped)],
            cwd=yesterday.project,
            env=yesterday.environment(),
            capture_output=True,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        wait_until_unlocked(yesterday)
        assert contents(yesterday) == old
    assert yesterday.reconcile().code == 0
    assert contents(yesterday) == new


def test_sigterm_ends_the_run_and_its_children_and_yesterday_stays(yesterday):
    before = yesterday.fingerprint()
    process = yesterday.start("reconcile")
    wait_for(yesterday.state / "next", process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    wait_until_unlocked(yesterday)
    assert process.returncode != 0
    assert yesterday.fingerprint() == before


def test_an_interrupt_exits_130_and_says_what_is_published(yesterday):
    before = yesterday.fingerprint()
    process = yesterday.start("reconcile")
    wait_for(yesterday.state / "next", process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    _, told = process.communicate(timeout=30)
    assert (process.returncode, yesterday.fingerprint()) == (130, before)
    assert "Interrupted. What is published is whole" in told and "Traceback" not in told
    wait_until_unlocked(yesterday)


def test_a_dbt_process_that_dies_exits_1(second_night, yesterday):
    before = yesterday.fingerprint()
    process = yesterday.start("reconcile")
    children = []
    while not children and process.poll() is None:
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    time.sleep(0.2 * second_night.seconds)
    os.kill(int(children[0]), signal.SIGKILL)
    out, err = process.communicate()
    ran = Ran(process.returncode, out, err)
    assert (ran.code, yesterday.fingerprint()) == (1, before)
    assert ran.says("the dbt process ended with -9")


@pytest.fixture
def small_disk(yesterday):
    """Puts the state folder of `yesterday` on a disk of its own. Who may not mount gets the nearest limit that anybody may set."""
    mounted = []
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]

    def mount(megabytes: float, inodes: int | None = None, read_only: bool = False) -> World:
        kept = yesterday.state.rename(yesterday.folder / "kept")
        yesterday.state.mkdir(mode=0o700)
        options = f"size={int(megabytes * 1024)}k,mode=0700,uid={os.geteuid()}"
        is_mounted = succeeds(*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", yesterday.state)
        shutil.copy(kept / "warehouse.duckdb", yesterday.state)
        if is_mounted:
            mounted.append(yesterday.state)
            change = f"remount,nr_inodes={inodes}" if inodes else "remount,ro" if read_only else None
            assert not change or succeeds(*as_root, "mount", "-o", change, yesterday.state)
        elif read_only:
            yesterday.state.chmod(0o500)
        else:
            limit = "ulimit -n 16" if inodes else f"ulimit -f {int(megabytes * 1024 / 4)}"
            yesterday.under = ("/bin/bash", "-c", f'{limit}; exec "$@"', "bash")
        return yesterday

    yield mount
    for folder in mounted:
        subprocess.run([*as_root, "umount", "-l", folder], check=True)
    yesterday.state.chmod(0o700)


def succeeds(*command) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("spare", [0, 9])
def test_a_full_disk_exits_1_and_yesterday_stays(small_disk, yesterday, spare):
    world = small_disk(yesterday.warehouse.stat().st_size / 2**20 + spare)
    before = world.fingerprint()
    ran = world.reconcile()
    assert (ran.code, world.fingerprint()) == (1, before)
    assert ran.says()


@pytest.mark.sweep
@pytest.mark.parametrize("spare", range(0, 40, 2))
def test_a_disk_of_any_size_is_enough_or_yesterday_stays(small_disk, yesterday, spare):
    world = small_disk(yesterday.warehouse.stat().st_size / 2**20 + spare)
    before = world.fingerprint()
    ran = world.reconcile()
    assert ran.code in (0, 1)
    assert ran.code == 0 or world.fingerprint() == before


@pytest.mark.parametrize("limit", [{"inodes": 10}, {"read_only": True}], ids=["no inodes", "read-only"])
def test_a_disk_that_takes_nothing_exits_1_and_yesterday_stays(small_disk, limit):
    world = small_disk(100, **limit)
    before = world.fingerprint()
    ran = world.reconcile()
    assert (ran.code, world.fingerprint()) == (1, before)
    assert ran.says()


@pytest.mark.parametrize("command", [["reconcile"], ["status"], ["accept-counts", "--reason", "x", "--by", "y"]])
def test_a_truncated_warehouse_is_refused_with_the_way_out(yesterday, command):
    with yesterday.warehouse.open("r+b") as file:
        file.truncate(yesterday.warehouse.stat().st_size // 2)
    before = yesterday.fingerprint()
    ran = yesterday.run(*command)
    assert (ran.code, yesterday.fingerprint()) == (1, before)
    assert ran.says("warehouse.duckdb can't be read", "Put a backup in its place, or move it away")


def test_a_warehouse_of_a_newer_version_is_refused_with_the_way_out(yesterday):
    with yesterday.warehouse.open("r+b") as file:
        file.seek(12)
        file.write((999).to_bytes(8, "little"))
    before = yesterday.fingerprint()
    ran = yesterday.reconcile()
    assert (ran.code, yesterday.fingerprint()) == (1, before)
    assert ran.says("warehouse.duckdb can't be read", "Put a backup in its place, or move it away")


def test_no_flipped_bit_gets_into_history(yesterday):
    """In process: a flip is refused, or what is read is what was written."""
    whole = yesterday.warehouse.read_bytes()
    before = contents(yesterday)
    refused = 0
    for offset in range(5, len(whole), len(whole) // 60):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x10
        yesterday.warehouse.write_bytes(damaged)
        try:
            folder = run.prepare(yesterday.state)
        except Failure as failure:
            refused += 1
            assert failure.exit_code == 1
            assert "can't be read" in str(failure) and "Put a backup in its place" in str(failure)
        else:
            copy = yesterday.folder / "copy"
            (copy / "state").mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "published.duckdb", copy / "state/warehouse.duckdb")
            assert contents(World(copy)) == before, f"bit flipped at byte {offset}"
    assert refused > 10


def run_with_stdout(world: World, redirected: str, stdout: int | None = None, **changes: str | None) -> Ran:
    done = subprocess.run(
        ["/bin/bash", "-c", f'set -o pipefail; "$@" {redirected}', "bash", *world.command("reconcile")],
        cwd=world.project,
        env=world.environment(**changes),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Ran(done.returncode, "", done.stderr)


def test_nobody_at_home_no_words_but_ascii_and_a_closed_stdout(second_night, yesterday):
    yesterday.use_night(2)
    ran = run_with_stdout(yesterday, ">&-", HOME=None, LANG="C", LC_ALL="C", TERM=None, USER=None)
    assert (ran.code, ran.err) == (0, "")
    assert contents(yesterday) == contents(second_night.world)


@pytest.mark.parametrize("lines_read", [pytest.param(0, marks=pytest.mark.sweep), 2])
def test_a_reader_that_goes_away_changes_nothing(second_night, yesterday, lines_read):
    """`tallystick reconcile | head -2`: the run is not the pipe's to stop, and what it published it must not deny."""
    yesterday.use_night(2)
    ran = run_with_stdout(yesterday, f"| head -n {lines_read}", stdout=subprocess.DEVNULL)
    has_published = contents(yesterday) == contents(second_night.world)
    assert not (has_published and "Nothing was published" in ran.err), ran.err
    assert has_published, ran.err
    assert (ran.code, ran.err) == (0, "")


def test_the_first_run_says_that_it_has_no_baseline(first_night):
    assert "no baseline yet" in (first_night.folder / "out.txt").read_text()
    told = first_night.query("select explanation from marts.trust_checks where check_name = 'no_implausible_drop'")
    assert len(told) == 4
    assert all("no baseline yet" in explanation for (explanation,) in told)


def test_what_is_written_older_drivers_can_read(first_night):
    for name in ("warehouse", "snapshot"):
        with duckdb.connect(first_night.state / f"{name}.duckdb", read_only=True) as connection:
            tags = connection.execute("select tags from duckdb_databases() where not internal").fetchone()[0]
        assert tags["storage_version"].startswith("v1.0.0")


def test_a_run_that_was_killed_at_its_start_keeps_the_lock_from_nobody(yesterday):
    for seconds in (0.5, 1.5):
        process = yesterday.start("reconcile")
        time.sleep(seconds)
        process.kill()
        process.communicate()
        assert wait_until_unlocked(yesterday) < 1


def test_an_export_that_was_left_from_last_week_is_no_pull(world):
    """Without manifests the files' own times say that one side was not exported again."""
    for folder in (world.crm, world.billing):
        (folder / "manifest.json").unlink()
        for table in folder.iterdir():
            table.touch()
    for table in world.billing.iterdir():
        os.utime(table, (time.time() - 7 * 86400,) * 2)
    assert world.reconcile().code == 4
    assert {check for _, _, check in world.failed_checks()} == {"pulled_close_together"}
