"""Whether this installation still sees what is there and refuses what it did not see whole: four nights of the sample, played for real."""

import json
import shutil
from pathlib import Path

import duckdb
from rich.console import Console

from pipelines import after, run, settings
from pipelines.failures import BadConfiguration, Failure
from pipelines.progress import Silent

SAMPLE = settings.ROOT / "sample"

# Pair, verdict, records in scope left and right, differences listed, differences that the night resolved. sample/README.md has the story.
FIRST = [("customers", "trusted", 1180, 1224, 61, 0), ("contracts", "trusted", 1237, 1281, 65, 0)]
SECOND = [("customers", "trusted", 1181, 1225, 44, 17), ("contracts", "trusted", 1238, 1282, 59, 6)]
STORY = """
select
    reconciliation, verdict, left_in_scope, right_in_scope,
    (select count(*) from marts.discrepancies as listed where listed.reconciliation = runs.reconciliation) as differences, resolved
from marts.runs as runs
where run_seq = (select max(run_seq) from marts.runs)
order by reconciliation desc
"""
VERDICTS = f"select distinct verdict from ({STORY})"
LISTED = "select count(*), bit_xor(hash(listed)) from marts.discrepancies as listed"


def check(console: Console) -> None:
    """Plays into the settings' state folder, from nothing. Raises Failure at the first night that comes out otherwise."""
    if not SAMPLE.exists() or settings.systems() != ["billing", "crm"]:
        raise BadConfiguration("selftest plays the sample, and this project's pairs are of other systems or sample/ is gone.")
    state = settings.state_folder()
    shutil.rmtree(state, ignore_errors=True)

    night(console, "the sample's first night: 1,180 customers against 1,224, 61 differences", SAMPLE / "night-1", STORY, FIRST)
    listed = asked(LISTED)
    night(console, "the same night again changes nothing", SAMPLE / "night-1", LISTED, listed)
    console.print("    now billing loses half of its records; the checks that see it say so by name")
    cut = with_half_of_billing(SAMPLE / "night-2", state / "half")
    night(console, "with half of billing gone no pair is trusted", cut, VERDICTS, [("not trustworthy",)])
    expect(console, "… and the list stays as it was", LISTED, listed)
    night(console, "the second night: what was in flight is gone, the 44 are not", SAMPLE / "night-2", STORY, SECOND)
    console.print("What this installation says can be believed.")


def night(console: Console, claim: str, exports: Path, question: str, answer: list[tuple]) -> None:
    settings.read_exports(exports)
    run.reconcile(Silent(console), after.IN_THE_STATE_FOLDER)
    expect(console, claim, question, answer)


def expect(console: Console, claim: str, question: str, answer: list[tuple]) -> None:
    if (found := asked(question)) != answer:
        raise Failure(
            f"Not so: {claim}. It should be {answer} and is {found}.",
            f"Nothing was touched outside {settings.state_folder()}; believe no list before it is mended and make selftest passes.",
        )
    console.print(f"ok  {claim}")


def asked(question: str) -> list[tuple]:
    with run.published() as connection:
        return connection.execute(question).fetchall()


def with_half_of_billing(night: Path, folder: Path) -> Path:
    """A copy in which the source itself says that the other half is not there: no declared total gives it away."""
    shutil.copytree(night, folder)
    manifest = json.loads((folder / "billing/manifest.json").read_text())
    for table, records in manifest["records"].items():
        file = folder / f"billing/{table}.csv"
        half = duckdb.sql(f"from read_csv('{settings.quoted(night / 'billing' / file.name)}', all_varchar = true) limit {records // 2}")
        half.write_csv(str(file))
        manifest["records"][table] = records // 2
    (folder / "billing/manifest.json").write_text(json.dumps(manifest))
    return folder
