"""What an apply did, for a person: what was not written first."""

from collections import Counter

from rich.console import Console
from rich.text import Text

from pipelines.fix.apply import Applied
from pipelines.fix.plan import shown
from pipelines.show import number, plain

OUTCOMES = ("written", "dropped", "refused", "unknown")


def show(applied: Applied, console: Console) -> None:
    counts = Counter(outcome for _, outcome, _ in applied.told)
    others = [told for told in applied.told if told[1] != "written"]
    if others:
        for row, outcome, detail in others:
            what = " ".join(filter(None, (row["target_system"], row["operation"], shown(row["record_key"]), shown(row["field"]))))
            console.print(Text(f"{outcome}: {what}: {plain(detail)}"))
    parts = [f"{number(counts[outcome])} {outcome}" for outcome in OUTCOMES if counts[outcome]]
    console.print(Text(", ".join(parts) or "Nothing was left to write."))
    if counts["refused"]:
        console.print(Text("What was refused is planned again until its target takes it, or seeds/response_policies.csv lets it be."))
    console.print(Text("marts.fix_log has every attempt; the next trusted run says of each whether it holds."))
