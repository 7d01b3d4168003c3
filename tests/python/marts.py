"""A state folder with public tables of a test's own: of the contracts' columns and types, without a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from pipelines.public import contracts

Rows = Sequence[Mapping[str, object]]
RUN = {"run_id": "000007-abcdef12", "run_seq": 7, "reconciliation": "customers", "as_of": "2026-03-09T03:00:00Z", "verdict": "trusted"}
# What other systems may say. Each has its place in a text column of marts.discrepancies.
HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '"=1', "'=1", "\u00a0=1", "\u200b=1", "＝1", "＋1", "－1", "＠x",
    "=cmd|' /C calc'!A0", "a;=1", "a,=1", "a\t=1", "a\n=1", "a\r\n=1", "a|=1", 'a";=1', 'a","=1', "a; \"'=1", "\tx", "\nx", "=",
    "00123", "12345678901234567890", "1e5", "-", "- a dash", "2026-03-03", "true", "", " ", "'", '"', ",", "\\", "\\.", "a\n\\.\nb", "\\N",
    "<script>alert(1)</script>", "{{ 7*7 }}", "https://example.org", "mailto:a@b", "internal:Sheet1!A1", "_x000D_", "&amp;", "a & b",
    "nul\x00=1", "bell\x07", "\x1b[31mred", "esc\x9b1m", "\u202eevil", "\u2066x\u2069", "\ufffe", "\U0001f600" * 20_000, "x" * 40_000,
    "Zoë, Łódź 東京",
]  # fmt: skip
TIMES = ["2026-03-03T03:00:00.123456Z", "1899-12-31T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "20000-01-01T00:00:00Z"]
TIMES += ["0044-03-15 (BC) 00:00:00+00", "infinity", "-infinity", None]
NUMBERS = ["0", "-5", "0.1", "149.00000000", "123456789012345678901234567890", "12345678901234.12345678", None]
FLOATS = [0.0, -5.0, 0.1, 1e300, float("inf"), float("nan"), None]


def hostile() -> list[dict]:
    """Differences that hold the whole corpus."""
    return [
        {
            "discrepancy_id": f"{number:032x}", "reconciliation": "customers", "record_key": text, "bucket": "conflict", "field": "",
            "left_value": text, "right_value": None, "status": "open", "cause_evidence": f"says {text}",
            "runs_seen": number - 3, "is_overdue": number % 2 == 0, "first_seen_at": TIMES[number % len(TIMES)],
            "value_at_risk": NUMBERS[number % len(NUMBERS)], "age_hours": FLOATS[number % len(FLOATS)], "run_id": RUN["run_id"],
        }
        for number, text in enumerate(HOSTILE)
    ]  # fmt: skip


def publish(state: Path, **tables: Rows) -> Path:
    """As a run leaves it; a table that is not named is empty, and of runs there is a trusted one."""
    state.mkdir(exist_ok=True)
    (state / "warehouse.duckdb").unlink(missing_ok=True)
    with duckdb.connect(state / "warehouse.duckdb") as connection:
        connection.execute("set TimeZone = 'UTC'; create schema marts")
        for name, contract in contracts().items():
            columns = ", ".join(f'"{column["name"]}" {column["data_type"]}' for column in contract["columns"])
            connection.execute(f"create table marts.{name} ({columns})")
        for name, rows in ({"runs": [RUN]} | tables).items():
            for row in rows:
                values = ", ".join(f'${column} as "{column}"' for column in row)
                connection.execute(f"insert into marts.{name} by name select {values}", row)
    return state


def read(state: Path, query: str) -> list[tuple]:
    with duckdb.connect(state / "warehouse.duckdb", read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(query).fetchall()
