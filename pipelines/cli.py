"""The commands. Each ends with one of the README's exit codes and, where it fails, one sentence on what to do."""

import os
import shutil
import sys
import traceback
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines import after, alerts, listing, public, run, settings, show
from pipelines.failures import OF_THIS_MACHINE, Failure, Interrupted, NotTrustworthy, SourceFailed, first_line
from pipelines.progress import shown

if TYPE_CHECKING:
    from pipelines.look import Look  # it imports dlt, which takes half a second

OPEN_DIFFERENCES = 6

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


class Terminal(Console):
    """Standard output. Who stops reading it (`| head`) ends neither the run nor its exit code."""

    def on_broken_pipe(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


A_LINE_OF_A_LOG = 1_000  # where no terminal has a width, rows stay whole for grep

console = Terminal(highlight=False, soft_wrap=True, markup=False, emoji=False, width=None if Console().is_terminal else A_LINE_OF_A_LOG)


class FailOn(StrEnum):
    """What else than an untrusted run makes `reconcile` fail."""

    open = "open"


class Decision(StrEnum):
    """What a person can say of a difference."""

    accept = "accept"
    quarantine = "quarantine"
    release = "release"
    fix = "fix"


Quiet = Annotated[bool, typer.Option("--quiet", help="Plain lines, no progress.")]


@app.command()
def reconcile(
    quiet: Quiet = False,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit 6 where open differences remain.")] = None,
) -> None:
    """Pull both sides in full, prove it, compare, publish, print the list."""
    still_open = one_night(quiet, after.STAGES)
    if fail_on and still_open:
        raise typer.Exit(OPEN_DIFFERENCES)


def one_night(quiet: bool, stages: after.Stages) -> int:
    """Returns how many differences are open. Ends the command where a pair was not trusted."""
    with shown(console, quiet) as progress:
        not_done = run.reconcile(progress, stages)
    with run.published() as connection:
        show.summary(connection, console)
        untrusted, still_open = run.outcome(connection)
    for sentence in not_done:
        print(show.plain(sentence), file=sys.stderr)
    if untrusted:
        raise typer.Exit(NotTrustworthy.exit_code)
    return still_open


@app.command("publish")
def publish_again() -> None:
    """Write the exports, and PostgreSQL where it is set, again: the next command where a run could not."""
    with run.published() as connection:
        last_run = public.last_run(connection)
    if not last_run.has_trusted_pair:
        raise NotTrustworthy("The last run trusted no pair.", "Exports and PostgreSQL were left as they are; run make reconcile.")
    with run.locked(settings.state_folder()) as (state, _):
        not_done = after.follow(state, (after.exports, after.postgres))
    for sentence in not_done:
        print(show.plain(sentence), file=sys.stderr)
    if not_done:
        raise typer.Exit(Failure.exit_code)
    console.print(f"published again: {last_run}")


@app.command()
def counts(quiet: Quiet = False) -> None:
    """Only the two numbers of each pair: pulls and counts, publishes nothing."""
    with shown(console, quiet) as progress:
        counted = run.count(progress)
    for pair, left_system, left, right_system, right in counted:
        console.print(f"{pair}: {left_system} {left:,}, {right_system} {right:,} in scope; {abs(left - right):,} apart")


OF_A_SIDE = "Which connector it comes from; asked for where it is left out."


@app.command()
def init(
    crm: Annotated[str | None, typer.Option(help=OF_A_SIDE)] = None,
    billing: Annotated[str | None, typer.Option(help=OF_A_SIDE)] = None,
) -> None:
    """Ask what two connectors must know, look at both, write .dlt/config.toml and secrets.toml, and count."""
    from pipelines.init import configure

    configure({"crm": crm, "billing": billing}, console, show_look)
    counts()
    console.print("Next: make reconcile")
    if (settings.state_folder() / run.PUBLISHED).exists():
        console.print(f"{settings.state_folder()} has runs of before: where they were of other systems, move it away first.")


@app.command()
def check_sources() -> None:
    """Connect to both sides, read a page of each table, tell what is there. Keeps nothing: the first thing to run with credentials."""
    from pipelines.look import looks

    try:
        for look in looks():
            show_look(look)
    except SourceFailed as failure:
        raise SourceFailed(failure.what, "Nothing was touched; mend what it names and run tallystick check-sources again.") from failure


def show_look(look: "Look") -> None:
    total = "no declared total" if look.declared_total is None else f"{look.declared_total:,} declared"
    told = f"{total} ({look.declared_by})" if look.declared_by else total
    console.print(f"{look.system} {look.table} by {look.connector}: {told}, {look.records:,} records read")
    console.print(f"  fields: {', '.join(look.fields)}")
    if look.declared_by and look.declared_total is None:
        console.print("  a run would not be trusted: a total is to be there, and none came")
    if look.without_value:
        console.print(f"  without a value there: {', '.join(look.without_value)}")


@app.command()
def status(
    notify: Annotated[bool, typer.Option("--notify", help="Where it does not exit 0, tell those whom [notify] urls name.")] = False,
) -> None:
    """When the last trusted run was. Exits 4 when one is stale or none was ever trusted."""
    text = ""
    try:
        text, is_fresh = alerts.freshness()
        console.print(text)
        if not is_fresh:
            raise NotTrustworthy(
                f"What is published is older than {alerts.STALE_AFTER_HOURS} hours.", "Run make reconcile on fresh exports."
            )
    except Failure as failure:
        if notify:
            undelivered(alerts.stale(text, failure))
        raise


@app.command()
def alert(ended: Annotated[str, typer.Argument(help="How the run ended: its exit code, or else in words.")]) -> None:
    """For schedules, after each run: tell people where it did not finish. Of a run that did they have been told."""
    undelivered(alerts.did_not_finish(ended))


def undelivered(sentences: list[str]) -> None:
    for sentence in sentences:
        print(show.plain(sentence), file=sys.stderr)


OF_THE_FORMS = "table and markdown are for people; csv and json have every column and the values as they are stored, formulas too."


@app.command("list")
def list_differences(
    status: Annotated[listing.Status | None, typer.Option(help="Only of this status; without it, all that are current.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only of this owner; nobody is one too.")] = None,
    pair: Annotated[str | None, typer.Option(help="Only of this pair.")] = None,
    bucket: Annotated[listing.Bucket | None, typer.Option(help="Only of this bucket.")] = None,
    field: Annotated[str | None, typer.Option(help="Only of this field.")] = None,
    cause: Annotated[str | None, typer.Option(help="Only of this cause.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what should have been decided.")] = False,
    form: Annotated[listing.Format, typer.Option("--format", help=OF_THE_FORMS)] = listing.Format.table,
) -> None:
    """The current differences, most pressing first: by the day on which each is to be decided, then by amount."""
    filters = {"status": status, "owner": owner, "pair": pair, "bucket": bucket, "field": field, "cause": cause, "overdue": overdue}
    try:
        with run.published() as connection:
            listing.write(connection, console, form, filters)
        sys.stdout.flush()
    except BrokenPipeError:
        console.on_broken_pipe()


Reason = Annotated[str, typer.Option(help="Why it is right.")]
By = Annotated[str, typer.Option(help="Who says so.")]


@app.command()
def accept_counts(reason: Reason, by: By) -> None:
    """Let the counts that the last run refused through, once; the row stands in seeds/accepted_counts.csv."""
    accept(run.REFUSED_COUNTS, reason, by, "is evidence of an incomplete pull and can't be accepted")


@app.command()
def accept_plan(reason: Reason, by: By) -> None:
    """Let a fix plan through that a wave or an unusual number stopped, once; the row stands in seeds/accepted_counts.csv."""
    accept(run.REFUSED_FIXES, reason, by, "can't be accepted: raise a cap in seeds/response_policies.csv, mend a pull at its source")


def accept(refused: str, reason: str, by: str, why_not: str) -> None:
    accepted, beyond = run.accept(refused, reason.strip(), by.strip(), why_not)
    for row in accepted:
        name = row["reconciliation"] or "the run"
        console.print(f"accepted for {name}: {row['check_name']} ({row['side']}), observed {row['observed']:g}")
    for pair, check_name in beyond.items():
        console.print(f"{pair or 'the run'}: {check_name} {why_not}")
    console.print("Run make reconcile again; commit seeds/accepted_counts.csv so that git keeps who and why.")


@app.command("decide")
def take_decision(
    decision: Annotated[Decision, typer.Argument(help="What is decided.")],
    what: Annotated[str | None, typer.Argument(help="A difference by its id, or a record by its key; without it, all of a kind.")] = None,
    by: Annotated[str, typer.Option(help="Who decides.")] = "",
    until: Annotated[str | None, typer.Option(help="The last day on which it holds, such as 2026-12-31.")] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    pair: Annotated[str | None, typer.Option(help="Only of this pair.")] = None,
    bucket: Annotated[str | None, typer.Option(help="Only of this bucket.")] = None,
    field: Annotated[str | None, typer.Option(help="Only of this field.")] = None,
    cause: Annotated[str | None, typer.Option(help="Only of this cause.")] = None,
) -> None:
    """Say what is to become of a difference; the row stands in seeds/decisions.csv."""
    from pipelines.decide import decide

    kind = {"reconciliation": pair, "bucket": bucket, "field": field, "cause": cause}
    with run.published() as connection:
        found = decide(connection, decision, what, kind, by.strip(), until, note.strip())
    show.decided(found, decision, console)


@app.command()
def fix(
    apply: Annotated[bool, typer.Option("--apply", help="Write it, after a second look at every record.")] = False,
    quiet: Quiet = False,
) -> None:
    """Print what the last run planned to write; with --apply, write it."""
    from pipelines.fix import plan, report
    from pipelines.fix.apply import apply as apply_plan
    from pipelines.fix.journal import Journal

    with run.published() as connection:
        last = plan.last_plan(connection)
    plan.show(last, console)
    last.refuse_if_stopped()
    if not apply:
        journal = Journal(settings.state_folder())
        console.print(plan.closing(last, journal.done(), journal.refused()))
        return
    with shown(console, quiet) as progress:
        applied = apply_plan(progress)
    report.show(applied, console)
    applied.refuse_if_failed()


@app.command("notify")
def tell_people(test: Annotated[bool, typer.Option("--test", help="Send a test message instead, to every target.")] = False) -> None:
    """Tell now what the last run has to tell and could not deliver; what arrived is not sent again."""
    from pipelines.notify import notify, send

    if test:
        if failed := send("Tallystick: test", "This is where Tallystick will tell what is new, worsened, reopened, overdue or untrusted."):
            raise Failure(
                " ".join(failed), "Nothing was touched; mend [notify] in .dlt/secrets.toml and run tallystick notify --test again."
            )
        console.print("Every target took the test message.")
        return
    with run.published():
        pass  # there is something to tell of
    with run.locked(settings.state_folder()) as (state, _):
        notify(state)


@app.command()
def explain(
    key: Annotated[str, typer.Argument(help="The record's key, as either system writes it, or the id of a difference.")],
    pair: Annotated[str | None, typer.Option(help="Only this pair.")] = None,
) -> None:
    """One record's story: both sides, what they last agreed on, its differences with cause and evidence, decisions."""
    from pipelines.explain import explain

    with run.published() as connection:
        explain(connection, console, key, pair)


@app.command()
def report() -> None:
    """Write the report again from what is published; every run writes it."""
    from pipelines.report import NAME, write

    with run.locked(settings.state_folder()) as (state, _):
        write(state)
    console.print(f"report: {state / NAME}")


@app.command()
def demo(quiet: Quiet = False) -> None:
    """Play the sample's two nights into state/demo and show what changed."""
    os.environ["TALLYSTICK_STATE"] = str(settings.state_folder() / "demo")
    shutil.rmtree(settings.state_folder(), ignore_errors=True)
    for night in ("night-1", "night-2"):
        console.print(f"\n{night}: the exports in sample/{night}\n")
        settings.read_exports(settings.ROOT / "sample" / night)
        one_night(quiet, after.IN_THE_STATE_FOLDER)


@app.command()
def selftest() -> None:
    """Play the sample into state/selftest, once with half of a side, and check that what comes out is what is in it."""
    from pipelines.selftest import check

    os.environ["TALLYSTICK_STATE"] = str(settings.state_folder() / "selftest")
    check(console)


@app.command()
def simulate(
    nights: Annotated[int, typer.Option(min=1, help="How many nights to play; one takes about five seconds.")] = 30,
    seed: Annotated[int, typer.Option(help="The same seed is the same world, to the byte.")] = 7,
) -> None:
    """Play a world whose sync loses events into state/simulation, and hold what was found against the truth."""
    from pipelines.simulate.play import play, summary

    os.environ["TALLYSTICK_STATE"] = str(settings.state_folder() / "simulation")
    score = play(nights, seed, console)
    console.print(summary(score))
    if not score.is_whole():
        raise Failure(
            "What was listed is not what was out of step.",
            f"Nothing was touched outside {settings.state_folder()}; look at held_against in its truth.duckdb and run the same seed again.",
        )


INTERRUPTED = "Interrupted. What is published is whole: run tallystick status to see of when, make reconcile to go on."


def main() -> None:
    """Runs a command; a failure becomes one sentence on standard error and its exit code."""
    os.environ.setdefault("DLT_PROJECT_DIR", str(settings.ROOT))  # .dlt/ is the project's, wherever the command was called
    try:
        app()
    except SystemExit as ended:
        if ended.code == Interrupted.exit_code:  # Typer has caught Ctrl-C and says nothing
            end(INTERRUPTED, Interrupted.exit_code)
        raise
    except Failure as failure:
        end(str(failure), failure.exit_code)
    except OF_THIS_MACHINE as error:
        end(f"This machine refused: {first_line(error)}. {Failure.way_out}", Failure.exit_code)
    except Exception as error:
        if str(error) == "Query interrupted":  # what DuckDB makes of Ctrl-C
            end(INTERRUPTED, Interrupted.exit_code)
        traceback.print_exc()
        end(
            f"This is a fault in Tallystick: {first_line(error)}. What is published is whole: run tallystick status to see of when.",
            Failure.exit_code,
        )


def end(sentence: str, exit_code: int) -> None:
    print(show.plain(sentence), file=sys.stderr)
    sys.exit(exit_code)
