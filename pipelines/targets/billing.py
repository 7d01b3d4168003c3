"""What the billing systems share as targets: a customer is made, gets another value in a field, and is deleted; a subscription ends."""

from typing import ClassVar

from pipelines.targets.api import WritingApi
from pipelines.targets.records import given, table_of
from pipelines.targets.target import Write


class Billing(WritingApi):
    is_idempotent = True
    fields: ClassVar[dict[str, str]]  # parameters of a customer, by the column that staging knows
    refused: ClassVar[dict[str, str]]  # operations on a subscription, with the reason

    def refuses(self, write: Write) -> str | None:
        if table_of(self.settings, write) == "subscriptions":
            return self.refused.get(write.operation)
        if write.operation == "end" or (write.operation == "update" and write.field == "status"):
            return "a customer's status is that of its subscriptions; end its contracts instead"
        if write.operation == "create":
            return None if write.record.get("customer_number") else "its customer_number is not known"
        return self.refuses_column(write) if write.operation == "update" else None

    def refuses_column(self, write: Write) -> str | None:
        if write.field not in self.fields:
            return f"no field of customers that can be written holds the {write.field}"
        return None if write.to_value is not None else f"there is no value for its {write.field}"

    def set(self, write: Write) -> dict[str, str]:
        return {self.fields[column]: value for column, value in given("customers", write).items() if column in self.fields}
