"""Pipedrive: organizations or persons, and deals, by API v2. Documented at developers.pipedrive.com."""

from functools import cache
from pathlib import Path

from pipelines.evidence import Pulled
from pipelines.failures import SourceFailed
from pipelines.sources.api import Api
from pipelines.sources.pipedrive import CUSTOM, CUSTOMERS, custom_fields
from pipelines.sources.side import Side
from pipelines.targets.crm import Crm
from pipelines.targets.records import names, one_of, setting, table_of
from pipelines.targets.target import Refused, TargetSettings, Unavailable, Write

OWN = {"customers": {"company": "name"}, "deals": {"stage": "status", "amount": "value", "currency": "currency"}}
STAGES = ("open", "won", "lost")


class Pipedrive(Crm):
    def __init__(self, settings: TargetSettings):
        token = {"x-api-token": settings.secret("api_token")}
        super().__init__(settings, setting(settings, "pipedrive", "base_url", "https://api.pipedrive.com"), token)
        self.listed = {"customers": one_of(settings, "pipedrive", "customers_are", CUSTOMERS), "deals": "deals"}
        self.custom = {table: names(settings, "pipedrive", table, CUSTOM[listed]) for table, listed in self.listed.items()}
        self.fields = {table: OWN[table] | custom for table, custom in self.custom.items()}
        self.needed = {"customers": {"customer_number", "status", "company"}, "deals": {*OWN["deals"], *CUSTOM["deals"]}}
        self.reader = Api(Side(settings.system, Path(), []), self.base_url, token)
        self.known = cache(self.known)

    def path(self, table: str) -> str:
        return f"api/v2/{self.listed[table]}"

    def refuses_column(self, table: str, column: str) -> str | None:
        if (self.listed[table], column) == ("persons", "email"):
            return "a person's e-mail is one of a list, which Pipedrive replaces whole"
        return super().refuses_column(table, column)

    def refuses(self, write: Write) -> str | None:
        is_of_a_deal = table_of(self.settings, write) == "deals" and write.operation in ("update", "end")
        if is_of_a_deal and write.field in ("", "status") and write.to_value not in STAGES:
            return f"a deal of Pipedrive is open, won or lost, and not {write.to_value}"
        return super().refuses(write)

    def body(self, table: str, values: dict[str, str], write: Write) -> dict:
        """Custom fields by their codes, beside Pipedrive's own. A deal needs a title."""
        own = {OWN[table][column]: value for column, value in values.items() if column in OWN[table]}
        if "value" in own:
            own["value"] = float(own["value"])
        if table == "deals" and write.operation == "create":
            own["title"] = write.record_key
        custom = [(self.known(table)[column], value) for column, value in values.items() if column in self.custom[table]]
        held = {field["field_code"]: as_held(field, value) for field, value in custom}
        return own | ({"custom_fields": held} if held else {})

    def known(self, table: str) -> dict[str, dict]:
        """The custom field of each column, asked for once."""
        try:
            evidence = Pulled(self.settings.system, table, "pipedrive")
            return custom_fields(self.settings, self.reader, evidence, self.listed[table], self.custom[table])
        except SourceFailed as error:
            raise Unavailable(f"its fields can't be read: {error.what}") from error


def as_held(field: dict, value: str) -> str | int:
    """What people see of a field of options is a label, and what it holds the option's number."""
    if not (options := field.get("options")):
        return value
    numbers = [option["id"] for option in options if option.get("label") == value]
    if len(numbers) != 1:
        raise Refused(f"{field['field_name']} has {len(numbers) or 'no'} options {value!r}")
    return numbers[0]
