"""What the connectors share where only some records are read again, before something is written to them.

They land as in a full pull, through the same code. One that is gone does not land. A search may lag behind, so it gives ids alone, and
the records are then read by those.
"""

from collections.abc import Iterable, Iterator

from pipelines.sources.side import Only


def ids(only: Only, table: str) -> list[str]:
    return only.ids.get(table, [])


def spellings(only: Only, table: str) -> list[str]:
    """The keys as written and as staging normalises them: most searches compare letter by letter."""
    return list(dict.fromkeys(spelling for key in only.keys.get(table, []) for spelling in (key, key.strip().upper())))


def batches(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """Each value once, so many at a time."""
    different = list(dict.fromkeys(values))
    for start in range(0, len(different), size):
        yield different[start : start + size]


def once(pages: Iterator[list[dict]], id_field: str = "id") -> Iterator[list[dict]]:
    """A record that was found in several ways lands once."""
    seen = set()
    for page in pages:
        yield [record for record in page if record[id_field] not in seen]
        seen.update(record[id_field] for record in page)
