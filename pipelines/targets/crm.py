"""What the CRMs share as targets: a customer or a deal is made, gets another value in a field, and is deleted."""

from typing import Any

from pipelines.targets.api import WritingApi
from pipelines.targets.records import given, own_id, table_of
from pipelines.targets.target import Write, can_repeat


class Crm(WritingApi):
    """`fields` are those of the account, by table and by the column that staging knows. To end a record is to set its status."""

    fields: dict[str, dict[str, str]]
    needed: dict[str, set[str]]  # columns without which no record is made

    def path(self, table: str) -> str:
        """Of the table's records; each has its own id behind it."""
        raise NotImplementedError

    def body(self, table: str, values: dict[str, str], write: Write) -> dict[str, Any]:
        """What the API is sent for these values of the table's columns."""
        raise NotImplementedError

    def refuses(self, write: Write) -> str | None:
        table = table_of(self.settings, write)
        if write.operation == "delete":
            return None
        values = given(table, write)
        if write.operation == "create":
            missing = sorted(self.needed[table] - set(values))
            return f"its {missing[0]} is not known, and no {table.removesuffix('s')} is made without" if missing else None
        column = next(iter(values), None)
        return self.refuses_column(table, column) if column else f"there is no value for its {write.field or 'status'}"

    def refuses_column(self, table: str, column: str) -> str | None:
        return None if column in self.fields[table] else f"no field of {table} that can be written holds the {column}"

    def write(self, write: Write) -> str:
        table = table_of(self.settings, write)
        if write.operation == "delete":
            return self.take_away("DELETE", f"{self.path(table)}/{own_id(write, table)}")
        values = {column: value for column, value in given(table, write).items() if self.refuses_column(table, column) is None}
        if write.operation == "create":
            method, path = "POST", self.path(table)
        else:
            method, path = "PATCH", f"{self.path(table)}/{own_id(write, table)}"
        return f"status {self.ask(method, path, can_repeat(self, write), json=self.body(table, values, write)).status_code}"
