"""Trimming in SQL against the oracle's: every character of the basic plane at each end of text, alone, and inside. And what is hashed."""

from itertools import product

import duckdb
import oracle
import pyarrow
import pytest
from jinja2 import Environment

from pipelines.settings import ROOT

CHARACTERS = [chr(point) for point in range(1, 0x10000) if not 0xD800 <= point <= 0xDFFF]
PLACES = ["{0}", "{0}b", "a{0}", "{0}b{0}", "a{0}b", "é{0}", "{0}é", "aé{0}", "{0}éb", "aé{0}b", "~{0}", "{0}!"]

TEXTS = ["a", "A", " a", "a ", "\ta", "a\t", "a\n", "a\r\n", "\u00a0a", "a\u200b", "a b", "é", "é ", "", " ", "\u00a0", None]
FIELDS = [{"field": "name", "normalise": "text"}, {"field": "email", "normalise": "caseless"}, {"field": "code", "normalise": "exact"}]


def by_sql(macro: str, argument, **columns: list) -> list:
    """What an expression that a macro makes gives for each row of `columns`."""
    macros = "".join((ROOT / "macros" / f"{file}.sql").read_text() for file in ("normalise", "settled_keys"))
    expression = getattr(Environment().from_string(macros).module, macro)(argument)  # noqa: S701 (SQL is no HTML)
    given = pyarrow.table(columns | {"place": range(len(next(iter(columns.values()))))})
    with duckdb.connect() as connection:
        connection.register("given", given)
        rows = connection.execute(f"select {expression} from given order by place").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("place", PLACES)
def test_sql_trims_what_the_oracle_trims(place):
    texts = [place.format(character) for character in CHARACTERS]
    trimmed = by_sql("trimmed", "text", text=texts)
    wrong = [(text, found) for text, found in zip(texts, trimmed, strict=True) if found != oracle.trimmed(text)]
    assert not wrong, wrong[:5]


def test_equal_hashes_mean_equal_as_compared_and_common_blanks_change_none():
    rows = list(product(TEXTS, TEXTS, ["1", "1 ", None]))
    names, emails, codes = map(list, zip(*rows, strict=True))
    compared, compared_as_typed = {}, {}
    for row, row_hash in zip(rows, by_sql("row_hash", FIELDS, name=names, email=emails, code=codes), strict=True):
        name, email, code = row
        same = (oracle.trimmed(name), (oracle.trimmed(email) or "").lower() or None, code)
        compared.setdefault(row_hash, set()).add(same)
        if all((text or "").strip(" \t\n\r") == (oracle.trimmed(text) or "") for text in (name, email)):
            compared_as_typed.setdefault(same, set()).add(row_hash)
    assert [several for several in compared.values() if len(several) > 1] == []
    assert [several for several in compared_as_typed.values() if len(several) > 1] == []


def test_a_record_without_text_is_hashed():
    assert len(set(by_sql("row_hash", FIELDS[2:], code=["1", "1 ", None]))) == 3
