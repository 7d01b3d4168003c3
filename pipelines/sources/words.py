"""The words that .dlt/config.toml and secrets.toml may say of a side.

dlt reads what it is asked for and passes over the rest: of a word misspelt nothing would tell, and the default would be taken. Words of the
connector that is not in use may stay, as people change it by the environment. What the environment says besides can't be known.
"""

import re
from collections.abc import Collection
from difflib import get_close_matches

import dlt
from dlt.common.configuration.providers.toml import SettingsTomlProvider, TomlProviderReadException

from pipelines.failures import BadConfiguration

# Of all connectors. Beside them stand the side's tables.
OF_A_SIDE = {
    *("connector", "base_url", "credentials", "tables"),
    *("path", "encoding", "known_hosts", "kwargs", "client_kwargs", "config_kwargs"),  # files; the last three are dlt's
    *("headers", "auth"),  # rest
    *("access_token", "api_key", "api_token", "client_id", "client_secret", "site"),
    *("customers_are", "deals_are", "archived", "currency"),
}
OF_AUTH = {
    *("type", "token", "api_key", "name", "location", "username", "password"),
    *("client_id", "client_secret", "access_token_url", "access_token_request_data"),
}


def files() -> list[SettingsTomlProvider]:
    """Raises BadConfiguration where one is no TOML. Of what it holds nothing is quoted: it may be a secret."""
    try:
        return [provider for provider in dlt.config.config_providers if isinstance(provider, SettingsTomlProvider)]
    except TomlProviderReadException as error:
        place = re.search(r"at line \d+ col \d+", str(error))
        why = place[0] if place else "a word may stand there twice, or the file is not UTF-8"
        raise BadConfiguration(f"A settings file is no TOML: .dlt/{error.file_name}, {why}.") from None


def refuse_unknown(place: str, known: Collection[str]) -> None:
    """Raises BadConfiguration where a file says another word in the table `place`."""
    *sections, name = place.split(".")
    for file in files():
        said, _ = file.get_value(name, dict, None, *sections)
        if unknown := sorted(set(said) - set(known)) if isinstance(said, dict) else []:
            closest = get_close_matches(unknown[0], known, 1)
            meant = f"; the closest there is is {closest[0]!r}" if closest else ""
            raise BadConfiguration(
                f".dlt/{file.name} says {unknown[0]!r} in [{place}], which nothing reads{meant}. It may say {', '.join(sorted(known))}."
            )
