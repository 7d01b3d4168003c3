"""Salesforce: fields of accounts or contacts, and of opportunities, contracts or orders, by the REST API's sObject rows.

Documented at developer.salesforce.com/docs/platform/api-rest.
"""

import requests

from pipelines.failures import BadConfiguration
from pipelines.sources.salesforce import DATA, FIELD, OBJECTS, SHARED
from pipelines.targets.api import WritingApi
from pipelines.targets.crm import Crm
from pipelines.targets.records import names, one_of, setting, table_of
from pipelines.targets.target import Refused, TargetSettings, Unavailable, Write


class Salesforce(Crm):
    def __init__(self, settings: TargetSettings):
        super().__init__(settings, setting(settings, "salesforce", "base_url", ""), {})
        self.listed = {table: one_of(settings, "salesforce", f"{table}_are", objects) for table, objects in OBJECTS.items()}
        self.fields = {
            table: names(settings, "salesforce", table, SHARED[table] | OBJECTS[table][listed]) for table, listed in self.listed.items()
        }
        if setting(settings, "salesforce", "currency", ""):
            del self.fields["deals"]["currency"]  # of an org with one, no record has it
        for table, fields in self.fields.items():
            for column, name in fields.items():
                if not FIELD.fullmatch(name):
                    raise BadConfiguration(f"targets.{settings.system}.{table}.{column} must be the API name of a field, not {name!r}.")
        self.needed = {"customers": {"customer_number", "status", "company"}}

    def path(self, table: str) -> str:
        return f"{DATA}/sobjects/{self.listed[table]}"

    def body(self, table: str, values: dict[str, str], write: Write) -> dict:
        return {self.fields[table][column]: float(value) if column == "amount" else value for column, value in values.items()}

    def refuses(self, write: Write) -> str | None:
        listed = self.listed[table_of(self.settings, write)]
        if write.operation == "create" and listed != "Account":
            return f"a new {listed} of Salesforce needs more than any other system knows of it"
        return super().refuses(write)

    def refuses_column(self, table: str, column: str) -> str | None:
        if "." in (name := self.fields[table].get(column, "")):
            return f"{name} is a field of another record, which others may share"
        return super().refuses_column(table, column)

    def ask(self, method: str, path: str, can_repeat: bool, **request) -> requests.Response:
        self.sign_in()
        return super().ask(method, path, can_repeat, **request)

    def sign_in(self) -> None:
        """OAuth's client credentials flow, before the first write."""
        if "Authorization" in self.once.headers:
            return
        credentials = {name: self.settings.secret(name) for name in ("client_id", "client_secret")}
        door = WritingApi(self.settings, self.base_url, {})
        door.secrets = {credentials["client_secret"]}
        try:
            answer = door.ask("POST", "services/oauth2/token", True, data={"grant_type": "client_credentials", **credentials})
            token = answer.json()["access_token"]
        except Refused as error:
            raise Unavailable(f"no token was handed out: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable("no token was handed out: the answer has no access_token") from error
        self.secrets = {*door.secrets, token}
        for session in (self.once, self.again):
            session.headers["Authorization"] = f"Bearer {token}"
