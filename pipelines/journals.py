"""SQLite files that are on the disk before something leaves the house and again after its answer, whatever ends the command."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipelines.failures import Failure


@contextmanager
def opened(file: Path, ddl: str, of: str) -> Iterator[sqlite3.Connection]:
    """One transaction, on the disk when the block has ended. Raises Failure where the file can't be read or written."""
    try:
        file.touch(mode=0o600)
        file.chmod(0o600)
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.row_factory = sqlite3.Row
            connection.execute("pragma synchronous = full")
            connection.execute(ddl)
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise Failure(
            f"{file}, the journal of {of}, can't be used: {error}",
            "Nothing further was sent and it was left as it is; mend it, or put a backup in its place, and run the command again.",
        ) from error
