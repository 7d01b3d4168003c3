"""What a pull leaves behind so that SQL can judge whether it was whole."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Pulled:
    """One table of one system. Times are UTC; None is what the source does not tell."""

    system: str
    table_name: str
    connector: str
    files: int = 0
    pages: int = 0
    page_size_asked: int | None = None
    page_size_served: int | None = None
    last_cursor: str | None = None
    retries: int = 0
    bytes: int = 0
    digest: str = ""
    declared_total: int | None = None
    declared_after: int | None = None
    declared_by: str | None = None
    is_counted_apart: bool = False  # the total, from the list itself
    fetched: int = 0
    landed: int | None = None
    id_column: str | None = None
    distinct_ids: int | None = None
    end_seen: bool = False
    end_evidence: str = ""
    unmapped_columns: str = ""
    exported_at: datetime | None = None
    written_at: datetime | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime | None = None

    def count(self, page: list[dict]) -> None:
        self.pages += 1
        self.fetched += len(page)
        self.page_size_served = max(self.page_size_served or 0, len(page))

    def declare(self, total: int | None) -> None:
        """A page's total: the first page's, and beside it the one furthest from it; none as soon as one page has none."""
        if not self.pages:
            self.declared_total = self.declared_after = total
        elif total is None or self.declared_total is None:
            self.declared_total = self.declared_after = None
        else:
            self.declared_after = max(self.declared_after, total, key=lambda told: abs(told - self.declared_total))


DDL = """
create schema pulls;
create table pulls.runs (as_of timestamptz, as_of_source varchar, started_at timestamptz);
create table pulls.asked (reconciliation varchar, record_key varchar);
create table pulls.gates (check_name varchar, is_in_force boolean);
create table pulls.tables (
    system varchar, table_name varchar, connector varchar,
    files bigint, pages bigint, page_size_asked bigint, page_size_served bigint, last_cursor varchar, retries bigint,
    bytes bigint, digest varchar, id_column varchar,
    declared_total bigint, declared_after bigint, declared_by varchar, is_counted_apart boolean,
    fetched bigint, landed bigint, distinct_ids bigint, end_seen boolean, end_evidence varchar,
    unmapped_columns varchar, exported_at timestamptz, written_at timestamptz, started_at timestamptz, finished_at timestamptz
);
create table pulls.fix_attempts (
    idempotency_key varchar, attempt integer, discrepancy_id varchar, run_id varchar, reconciliation varchar, target_system varchar,
    operation varchar, record_key varchar, field varchar, from_value varchar, to_value varchar, attempted_at timestamptz,
    outcome varchar, detail varchar
);
"""
