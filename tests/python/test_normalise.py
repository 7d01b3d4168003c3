"""Trimming in SQL against the oracle's: every character of the basic plane at each end of text, alone, and inside."""

import duckdb
import oracle
import pyarrow
import pytest
from jinja2 import Environment

from pipelines.settings import ROOT

CHARACTERS = [chr(point) for point in range(1, 0x10000) if not 0xD800 <= point <= 0xDFFF]
PLACES = ["{0}", "{0}b", "a{0}", "{0}b{0}", "a{0}b", "é{0}", "{0}é", "aé{0}", "{0}éb", "aé{0}b", "~{0}", "{0}!"]


def trimmed_by_sql(texts: list[str]) -> list[str | None]:
    macros = (ROOT / "macros/normalise.sql").read_text()
    expression = Environment().from_string(macros).module.trimmed("text")  # noqa: S701 (SQL is no HTML)
    given = pyarrow.table({"text": texts, "place": range(len(texts))})
    with duckdb.connect() as connection:
        connection.register("given", given)
        rows = connection.execute(f"select {expression} from given order by place").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("place", PLACES)
def test_sql_trims_what_the_oracle_trims(place):
    texts = [place.format(character) for character in CHARACTERS]
    wrong = [(text, by_sql) for text, by_sql in zip(texts, trimmed_by_sql(texts), strict=True) if by_sql != oracle.trimmed(text)]
    assert not wrong, wrong[:5]
