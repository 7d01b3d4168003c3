"""The exported tables as one Tableau extract:

uvx --with tableauhyperapi==0.0.26963 python docs/bi/tableau.py state/exports/raw tallystick.hyper
"""

import sys
from pathlib import Path

from tableauhyperapi import Connection, CreateMode, HyperProcess, Telemetry, escape_name, escape_string_literal

# Amounts have 38 digits, which an extract holds from version 3 on.
PARAMETERS = {"default_database_version": "4", "log_config": ""}


def main(folder: str, extract: str) -> None:
    with (
        HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters=PARAMETERS) as hyper,
        Connection(hyper.endpoint, extract, CreateMode.CREATE_AND_REPLACE) as connection,
    ):
        for file in sorted(Path(folder).glob("*.parquet")):
            source = f"external({escape_string_literal(str(file))}, format => 'parquet')"
            connection.execute_command(f"create table {escape_name(file.stem)} as (select * from {source})")


if __name__ == "__main__":
    main(*sys.argv[1:])
