"""The sentence beside each cause: what it rests on, in one line."""

from typing import NamedTuple

import pytest
from engine import Engine
from judgements import lacks, night
from oracle_judge import BOTH_CHANGED, CAUSES, CHANGED, CREATED, ENDED, GONE, OVERWRITTEN, TWO_KEYS, UNKNOWN, UNMAPPED
from test_judged_worlds import BILLING, CRM, DAY, DEAL, SUBSCRIPTION, both
from test_oracle import LIFTED, World, played


class Example(NamedTuple):
    """A story of one cause, and what its sentence must name."""

    edits: list
    nights: int
    pair: str
    field: str
    words: list[str]


# The first night is 3 March 2026.
EXAMPLES = {
    CREATED: Example(
        [(0, "remove", CRM), (0, "remove", BILLING), (1, "restore", CRM)], 2, "customers", "", ["crm", "billing", "March 2026"],
    ),
    ENDED: Example(
        [(1, "write", SUBSCRIPTION, ("status", "canceled"))], 2, "contracts", "status",
        ["billing", "'canceled'", "crm", "'won'", "3 March 2026", "4 March 2026"],
    ),
    CHANGED: Example(
        [(1, "write", BILLING, ("country", "AT"))], 2, "customers", "country",
        ["billing changed 'DE' to 'AT'", "crm still has 'DE'", "3 March 2026", "4 March 2026"],
    ),
    BOTH_CHANGED: Example(
        [(1, "write", BILLING, ("country", "AT")), (1, "write", CRM, ("country", "CH"))], 2, "customers", "country",
        ["billing", "'AT'", "crm", "'CH'", "'DE'", "3 March 2026"],
    ),
    OVERWRITTEN: Example(
        [*both(1, "AT", 7_200, 3_600), (2, "write", BILLING, ("country", "DE"))], 3, "customers", "country",
        ["billing", "'DE'", "crm", "'AT'", "5 March 2026"],
    ),
    GONE: Example([(1, "remove", BILLING)], 2, "customers", "", ["billing", "3 March 2026"]),
    TWO_KEYS: Example([(1, "write", CRM, ("key", "{key}-2"))], 2, "customers", "", ["crm", "billing", "C1-7"]),
    UNMAPPED: Example([(1, "write", CRM, ("status", "frozen"))], 2, "customers", "status", ["crm", "'frozen'"]),
    UNKNOWN: Example([(1, "write", DEAL, ("starts_on", "soon"))], 2, "contracts", "starts_on", ["crm", "'soon'"]),
}  # fmt: skip


@pytest.mark.parametrize("cause", EXAMPLES)
def test_the_evidence_names_what_it_rests_on(cause):
    example = EXAMPLES[cause]
    with Engine(**LIFTED) as engine:
        for as_of, tables in played(World(DAY * (example.nights - 1), None, False, {1: example.edits})):
            night(engine, as_of, tables)
        rows = engine.rows(
            "from warehouse.marts.discrepancies where reconciliation = ? and field = ? order by bucket", example.pair, example.field
        )
    assert {row["cause"] for row in rows} == {cause}
    for row in rows:
        assert not lacks(row["cause_evidence"])
        missing = [word for word in example.words if word not in row["cause_evidence"]]
        assert not missing, f"{missing} not in: {row['cause_evidence']}"


def test_every_cause_has_an_example():
    assert set(EXAMPLES) == CAUSES


ODD = ["D'E", "''", 'D"E', "D\nE", "D\r\nE", "D\u2028E", "D\x0bE", "D\x85E", "%s {} \\n", "\u202eED", "x" * 5_000]


@pytest.mark.parametrize("odd_night", [0, 1], ids=["as the base", "as the value now"])
def test_odd_values_leave_the_evidence_one_line(odd_night):
    cases = {
        number: [
            *((odd_night, "write", table, ("country", value)) for table in (CRM, BILLING)[odd_night:]),
            *([] if odd_night else [(1, "write", BILLING, ("country", "FR"))]),
        ]
        for number, value in enumerate(ODD, 1)
    }
    with Engine(**LIFTED) as engine:
        for as_of, tables in played(World(DAY, None, False, cases)):
            night(engine, as_of, tables)
        rows = engine.rows("select cause, cause_evidence from warehouse.marts.discrepancies where field = 'country'")
    assert [row["cause"] for row in rows] == [CHANGED] * len(ODD)
    assert not [row["cause_evidence"] for row in rows if lacks(row["cause_evidence"])]
