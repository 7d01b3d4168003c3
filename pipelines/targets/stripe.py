"""Stripe: customers are made, changed and deleted, subscriptions end. Documented at docs.stripe.com/api."""

from typing import ClassVar

from pipelines.sources.stripe import CUSTOM, VERSION
from pipelines.targets.billing import Billing
from pipelines.targets.records import names, own_id, setting, table_of
from pipelines.targets.target import TargetSettings, Write, can_repeat


class Stripe(Billing):
    unclear = (409,)  # another request under this key is still at work: it may be ours, whose answer was lost
    fields: ClassVar = {"company": "name", "email": "email", "country": "address[country]"}
    refused: ClassVar = {
        "create": "a subscription needs a price and a means of payment; make it in Stripe",
        "delete": "Stripe keeps subscriptions that are over; end it instead",
        "update": "Stripe changes no subscription by one plain value; change its price or its dates there",
    }

    def __init__(self, settings: TargetSettings):
        headers = {"Authorization": f"Bearer {settings.secret('api_key')}", "Stripe-Version": VERSION}
        super().__init__(settings, setting(settings, "stripe", "base_url", "https://api.stripe.com"), headers)
        self.key = names(settings, "stripe", "customers", CUSTOM["customers"])["customer_number"]

    def write(self, write: Write) -> str:
        table = table_of(self.settings, write)
        path, fields = f"v1/{table}", self.set(write)
        if write.operation == "create":
            fields[f"metadata[{self.key}]"] = write.record["customer_number"]
        else:
            path += f"/{own_id(write, table)}"
        if write.operation in ("end", "delete"):
            return self.take_away("DELETE", path)  # which takes no idempotency key
        if write.operation == "update" and write.field == "country":
            fields = self.address(path) | fields
        response = self.ask("POST", path, can_repeat(self, write), data=fields, headers={"Idempotency-Key": write.idempotency_key})
        return f"status {response.status_code}"

    def address(self, path: str) -> dict[str, str]:
        """All parts of it as they are: that Stripe keeps those that are not sent is documented nowhere."""
        parts = self.ask("GET", path, True).json().get("address") or {}
        return {f"address[{part}]": value for part, value in parts.items() if value}
