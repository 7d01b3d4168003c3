"""Applying a plan: a second look at every record, then one write after the other, each in the journal before it is sent.

dlt carries the writes; what was sent, and whether it may be sent again, only the journal says.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from pipelines import settings
from pipelines.failures import Failure, Interrupted, TargetFailed, first_line
from pipelines.fix.journal import Journal
from pipelines.fix.log import publish_log
from pipelines.fix.plan import Plan, last_plan
from pipelines.fix.second_look import look_again
from pipelines.fix.standing import Looked
from pipelines.progress import Progress
from pipelines.run import Builder, locked, prepare, published
from pipelines.show import plain
from pipelines.targets.target import NoAnswer, Refused, Target, Unavailable, Write, can_repeat, target_of

MOST_DETAIL = 200  # characters
LEFT_OPEN = "no answer came; the next make fix APPLY=1 looks whether it was written"
OF_AN_EARLIER_PLAN = "interrupted, and its plan is no longer the last one: the next trusted run tells whether it was written"


@dataclass
class Applied:
    """What became of each planned write: rows of the plan with what was told of them."""

    plan: Plan
    journal: Journal
    told: list[tuple[dict, str, str]] = field(default_factory=list)  # row, outcome, detail
    failed: dict[str, str] = field(default_factory=dict)  # target system → why no more was sent to it

    def tell(self, row: dict, outcome: str, detail: str) -> None:
        self.told.append((row, outcome, detail))

    def leave(self, row: dict, outcome: str, detail: str) -> None:
        self.journal.leave(row, outcome, cut(detail))
        self.tell(row, outcome, detail)

    def refuse_if_failed(self) -> None:
        if self.failed:
            system, why = next(iter(self.failed.items()))
            raise TargetFailed(f"{system} took no more writes: {why}.")


def apply(progress: Progress) -> Applied:
    """Writes what the last run planned. Raises Failure; what was written until then stands in the journal."""
    with locked(settings.state_folder()) as (state, lock):
        with published() as connection:
            plan = last_plan(connection)
        journal = Journal(state)
        writes = [row for row in plan.writes() if row["idempotency_key"] not in journal.done()]
        for key in journal.under_way() - {row["idempotency_key"] for row in writes}:
            journal.end(key, "unknown", OF_AN_EARLIER_PLAN)
        plan.refuse_if_stopped()
        applied = Applied(plan, journal)
        try:
            if writes:
                plan.refuse_if_made_of_other_seeds()
                targets = {system: target_of(system) for system in sorted({row["target_system"] for row in writes})}
                looked = look(state, lock, writes, progress)
                plan.refuse_if_made_of_other_seeds()
                progress.step("writing")
                send(applied, standing(applied, targets, writes, looked), targets, state / "next")
        finally:
            publish_log(state, journal)
        if writes:
            shutil.rmtree(state / "next")
        return applied


def look(state: Path, lock: int, writes: list[dict], progress: Progress) -> dict[str, Looked]:
    try:
        with Builder(state, lock) as builder:
            folder = prepare(state)
            progress.step(f"reading {len(writes)} records again")
            return look_again(builder, folder, writes, progress)
    except Failure as failure:
        raise type(failure)(failure.what, "Nothing was written; mend what it names and run make fix APPLY=1 again.") from failure


def standing(applied: Applied, targets: dict[str, Target], rows: list[dict], looked: dict[str, Looked]) -> dict[str, tuple[dict, Write]]:
    """The writes to send, by idempotency key. Each other one is told, and settled in the journal if it was ever in it."""
    under_way = applied.journal.under_way()
    to_send = {}
    for row in rows:
        key, now, target = row["idempotency_key"], looked[row["idempotency_key"]], targets[row["target_system"]]
        write = as_write(row, now)
        settled = as_found(now, can_repeat(target, write)) if key in under_way else None
        if settled:
            applied.journal.end(key, *settled)
            applied.tell(row, *settled)
        elif now.dropped_because:
            applied.leave(row, "dropped", now.dropped_because)
        elif why := target.refuses(write):
            applied.leave(row, "refused", why)
        else:
            to_send[key] = (row, write)
    return to_send


def as_found(now: Looked, may_repeat: bool) -> tuple[str, str] | None:
    """Outcome and detail of a write that was under way when the last apply ended; None where it is sent again."""
    if now.is_as_written:
        return "written", "the apply was interrupted; read again, it is written"
    if now.dropped_because:
        return "unknown", cut(f"the apply was interrupted, and {now.dropped_because}")
    return None if may_repeat else ("unknown", "the apply was interrupted, and sent twice it might be written twice")


def as_write(row: dict, now: Looked) -> Write:
    names = ("idempotency_key", "reconciliation", "operation", "record_key", "field", "from_value", "to_value", "run_id")
    return Write(**{name: row[name] for name in names}, ids=now.ids, record=now.record, key=now.key, stated_key=now.stated_key)


def send(applied: Applied, to_send: dict[str, tuple[dict, Write]], targets: dict[str, Target], folder: Path) -> None:
    """In the plan's order. dlt is given keys alone, as it would guess types for the values; and nothing ever fails for it, as it
    would try again what the journal does not know of."""
    import dlt
    from dlt.common.runtime import signals
    from dlt.pipeline.exceptions import PipelineStepFailed

    faults: list[Exception] = []
    is_interrupted = False

    @dlt.destination(batch_size=1, name="fixes", loader_file_format="typed-jsonl", loader_parallelism_strategy="sequential")
    def fixes(items, table) -> None:
        nonlocal is_interrupted
        is_interrupted = signals.was_signal_received()  # dlt goes on until a second one
        row, write = to_send[items[0]["idempotency_key"]]
        if is_interrupted or faults or row["target_system"] in applied.failed:
            return
        try:
            send_one(applied, row, write, targets[row["target_system"]])
        except Exception as fault:
            faults.append(fault)

    if to_send:
        pipeline = dlt.pipeline("tallystick_fixes", pipelines_dir=str(folder / "dlt"), destination=fixes, progress=None)
        columns = {"idempotency_key": {"data_type": "text"}}
        try:
            pipeline.run([{"idempotency_key": key} for key in to_send], table_name="fixes", columns=columns)
        except PipelineStepFailed as error:
            if not is_interrupted:
                raise TargetFailed(f"dlt ended: {first_line(error)}.") from error
    if faults:
        raise faults[0]
    if is_interrupted:
        sent = {row["idempotency_key"] for row, *_ in applied.told}
        raise Interrupted(
            f"The apply was interrupted: {len(to_send.keys() - sent)} of {len(to_send)} writes were not sent.",
            "What was written stands in marts.fix_log and nothing is written twice; run make fix APPLY=1 to go on.",
        )


def send_one(applied: Applied, row: dict, write: Write, target: Target) -> None:
    applied.journal.begin(row)
    try:
        outcome, detail = "written", target.write(write)
    except Refused as refused:
        outcome, detail = "refused", str(refused)
    except Unavailable as error:
        outcome, detail = "refused", f"nothing was written: {error}"
        applied.failed[row["target_system"]] = cut(str(error))
    except NoAnswer as error:
        outcome, detail = "unknown", str(error)
        applied.failed[row["target_system"]] = cut(str(error))
        if can_repeat(target, write):
            applied.tell(row, outcome, LEFT_OPEN)
            return
    applied.journal.end(row["idempotency_key"], outcome, cut(detail))
    applied.tell(row, outcome, cut(detail))


def cut(text: str) -> str:
    """On one line that is plain."""
    return plain(" ".join(text.split()))[:MOST_DETAIL]
