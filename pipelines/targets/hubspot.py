"""HubSpot: properties of contacts or companies, and of deals. Documented at developers.hubspot.com/docs/api/crm."""

from pipelines.sources.hubspot import CUSTOMERS, DEALS, properties
from pipelines.targets.crm import Crm
from pipelines.targets.records import names, one_of, setting
from pipelines.targets.target import TargetSettings, Write


class HubSpot(Crm):
    def __init__(self, settings: TargetSettings):
        token = {"Authorization": f"Bearer {settings.secret('access_token')}"}
        super().__init__(settings, setting(settings, "hubspot", "base_url", "https://api.hubapi.com"), token)
        self.listed = {"customers": one_of(settings, "hubspot", "customers_are", CUSTOMERS), "deals": "deals"}
        self.fields = {table: names(settings, "hubspot", table, properties(table, listed)) for table, listed in self.listed.items()}
        self.needed = {"customers": {"customer_number", "status"}, "deals": set(DEALS)}

    def path(self, table: str) -> str:
        return f"crm/v3/objects/{self.listed[table]}"

    def body(self, table: str, values: dict[str, str], write: Write) -> dict:
        """A deal is nothing that people can find without a name."""
        named = {"dealname": write.record_key} if table == "deals" and write.operation == "create" else {}
        return {"properties": named | {self.fields[table][column]: value for column, value in values.items()}}
