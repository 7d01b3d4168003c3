"""A simulated world through the real pipeline: every night's exports are written, pulled, proved, compared and published."""

import shutil
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from pipelines import after, run, settings
from pipelines.progress import Silent
from pipelines.show import plain_table, rows
from pipelines.simulate.days import Night, nights
from pipelines.simulate.exports import write
from pipelines.simulate.score import Score
from pipelines.simulate.simulation import Simulation

TRUTH = "truth.duckdb"
CUT_NIGHT = 12  # billing's export comes incomplete, to show what that does to the list: nothing

DISCREPANCIES = "from marts.discrepancies"
LAST_RUN = "from marts.runs where run_seq = (select max(run_seq) from marts.runs)"


def play(count: int, seed: int, console: Console) -> Score:
    """Plays into the settings' state folder, from nothing, and keeps the truth there."""
    state = settings.state_folder()
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o700)
    score = Score(state / TRUTH)
    simulation = Simulation(seed, cut={CUT_NIGHT: ("billing", "subscriptions")})
    for night in nights(simulation, count):
        reconcile(night, state / "systems", console)
        with run.published() as warehouse:
            verdicts = rows(warehouse, LAST_RUN)
            score.record(night, simulation.truth.rows(), rows(warehouse, DISCREPANCIES), verdicts)
        console.print(line(night, verdicts))
    return score


def reconcile(night: Night, folder: Path, console: Console) -> None:
    write(night, folder)
    settings.read_exports(folder)
    run.reconcile(Silent(console), after.IN_THE_STATE_FOLDER)


def line(night: Night, verdicts: list[dict]) -> str:
    untrusted = [row["reconciliation"] for row in verdicts if row["verdict"] != "trusted"]
    verdict = f"NOT TRUSTWORTHY: {', '.join(untrusted)}" if untrusted else "trusted"
    counts = {name: sum(row[name] for row in verdicts) for name in ("open", "in_flight", "opened", "resolved")}
    return (
        f"night {night.number:>3}  {night.as_of:%Y-%m-%d}  {counts['open']:>4} open  {counts['in_flight']:>3} in flight"
        f"  {counts['opened']:>3} new  {counts['resolved']:>3} gone  {verdict}"
    )


def summary(score: Score) -> Group:
    """What was planted and found, what was said of it, and where to look."""
    detection, total, state = score.detection(), score.judgement()[-1], settings.state_folder()
    return Group(
        Text(
            f"\n{detection['planted']:,} differences planted: {detection['missed']:,} missed, {detection['late']:,} listed late,"
            f" {detection['made_up']:,} made up (recall {share(detection['recall'])}, precision {share(detection['precision'])})"
        ),
        Text("\nStale side and cause of those that outlived the lag, where the nights' evidence allows to know them", "bold"),
        judgement_table(score),
        Text(f"beyond the evidence: {total['listed'] - total['knowable']:,}, of which {total['guessed_wrong']:,} were told a wrong cause"),
        Text(f"\ntables: {state / run.PUBLISHED} (schema marts) and {state / TRUTH} (out_of_step, listed, nights, judgements)"),
        Text(f"attach '{state / run.PUBLISHED}' as warehouse (read_only); attach '{state / TRUTH}' as truth (read_only);"),
        Text(BESIDE_THE_TRUTH),
    )


BESIDE_THE_TRUTH = """\
select d.record_key, d.field, d.cause, t.cause as true_cause, t.fault
from warehouse.marts.discrepancies as d
inner join truth.out_of_step as t using (reconciliation, record_key, bucket, field)
where t.night = (select max(night) from truth.nights);"""


def judgement_table(score: Score) -> Table:
    table = plain_table("cause", numbers=("listed", "knowable", "right", "unknown", "wrong"))
    for row in score.judgement():
        table.add_row(row["cause"] or "all", *(f"{row[name]:,}" for name in ("listed", "knowable", "right", "unknown", "wrong")))
    return table


def share(value: float) -> str:
    """Rounded down: 100 % is all of them."""
    return f"{int(1000 * value) / 10:g} %"
