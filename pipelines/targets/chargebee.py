"""Chargebee: customers are made, changed and deleted, subscriptions end. Documented at apidocs.chargebee.com/docs/api."""

from base64 import b64encode
from typing import ClassVar

from pipelines.sources.chargebee import CUSTOM, address
from pipelines.targets.billing import Billing
from pipelines.targets.records import as_read, names, own_id, table_of
from pipelines.targets.target import TargetSettings, Write, can_repeat


class Chargebee(Billing):
    fields: ClassVar = {"company": "company", "email": "email", "country": "billing_address[country]"}
    refused: ClassVar = {
        "create": "a subscription needs an item and a means of payment; make it in Chargebee",
        "update": "Chargebee changes no subscription by one plain value; change its items or its dates there",
    }

    def __init__(self, settings: TargetSettings):
        user_without_password = b64encode(f"{settings.secret('api_key')}:".encode()).decode()
        says = settings if settings.setting("base_url", "") or settings.setting("site", "") else as_read(settings, "chargebee")
        super().__init__(settings, says.setting("base_url", "") or address(says), {"Authorization": f"Basic {user_without_password}"})
        self.secrets.add(settings.secret("api_key"))
        self.key = names(settings, "chargebee", "customers", CUSTOM["customers"])["customer_number"]

    def refuses_column(self, write: Write) -> str | None:
        if write.field == "country":
            return "Chargebee replaces a billing address whole, tax numbers too; change the country there"
        return super().refuses_column(write)

    def write(self, write: Write) -> str:
        table = table_of(self.settings, write)
        path, headers = f"api/v2/{table}", {"chargebee-idempotency-key": write.idempotency_key}
        fields = self.set(write) if table == "customers" else {}
        if write.operation == "create":
            fields[self.key] = write.record["customer_number"]
        else:
            path += f"/{own_id(write, table)}"
        if write.operation == "delete":
            return self.take_away("POST", f"{path}/delete", headers=headers)
        if write.operation == "end":
            path, fields = f"{path}/cancel_for_items", {"cancel_option": "immediately"}
        return f"status {self.ask('POST', path, can_repeat(self, write), data=fields, headers=headers).status_code}"
