"""The same comparison by other tools, each in a process of its own and in the peers' venv (requirements-peers.txt).

polars        by hand: both sides lazily, one full join, the streaming engine, one row a differing field
datacompy     PolarsCompare on two loaded frames, then one row a differing field out of its `_match` columns
audit-helper  dbt-audit-helper's way (compare_and_classify_query_results) as plain SQL, without its sample limit: rows
              added, removed or modified, not fields; no tolerance, so amounts a cent apart are reported as well

All three get the baseline's canonicalisation, so that their answers can be held against its.

    python benchmarks/peers.py polars|datacompy|audit-helper <folder with crm/ and billing/> <answer.parquet>
"""

import json
import sys
from pathlib import Path
from time import perf_counter

from baseline import FIELDS, TYPED, trimmed

KEY = "record_number"
CODES = [*range(9, 14), 32, 133, 160, 5760, 6158, *range(8192, 8208), 8232, 8233, 8239, 8287, 8288, 12288, 65279]
BLANKS = "".join(map(chr, CODES))


def canonical_frame(path: Path):
    import polars as pl

    def text(name: str) -> pl.Expr:
        stripped = pl.col(name).str.strip_chars(BLANKS)
        return pl.when(stripped != "").then(stripped)

    return pl.scan_parquet(path).select(
        text(KEY).str.to_uppercase().alias(KEY),
        *(text(field) if field not in TYPED else pl.col(field) for field in FIELDS if field != "email"),
        text("email").str.to_lowercase().alias("email"),
    )


def by_polars(folder: Path, answer: Path) -> None:
    import polars as pl

    left = canonical_frame(folder / "crm/records.parquet").with_columns(pl.lit(True).alias("in_left"))
    right = canonical_frame(folder / "billing/records.parquet").with_columns(pl.lit(True).alias("in_right"))
    in_both = pl.col("in_left").is_not_null() & pl.col("in_right").is_not_null()
    differs = {field: pl.col(field).ne_missing(pl.col(f"{field}_right")) for field in FIELDS}
    differs["amount"] = (pl.col("amount") - pl.col("amount_right")).abs() > pl.lit("0.01").cast(pl.Decimal(18, 2))
    different = (
        left.join(right, on=KEY, how="full", coalesce=True)
        .filter(~in_both | pl.any_horizontal(differs.values()))
        .collect(engine="streaming")
    )
    one_sided = different.filter(~in_both).select(
        pl.col(KEY).alias("record_key"),
        pl.when(pl.col("in_right").is_null()).then(pl.lit("left_only")).otherwise(pl.lit("right_only")).alias("bucket"),
        pl.lit("").alias("field"),
    )
    conflicts = [
        different.filter(in_both & is_different).select(
            pl.col(KEY).alias("record_key"), pl.lit("conflict").alias("bucket"), pl.lit(field).alias("field")
        )
        for field, is_different in differs.items()
    ]
    pl.concat([one_sided, *conflicts]).write_parquet(answer)


def by_datacompy(folder: Path, answer: Path) -> None:
    import datacompy
    import polars as pl

    compared = datacompy.PolarsCompare(
        canonical_frame(folder / "crm/records.parquet").collect(),
        canonical_frame(folder / "billing/records.parquet").collect(),
        join_columns=KEY,
        abs_tol={"amount": 0.0101, "default": 0},  # it compares as floating point, where a cent can be more than 0.01
    )

    def rows(frame: pl.DataFrame, bucket: str, field: str) -> pl.DataFrame:
        named = {"record_key": pl.col(KEY), "bucket": pl.lit(bucket), "field": pl.lit(field)}
        return frame.select(**named)

    pl.concat(
        [
            rows(compared.df1_unq_rows, "left_only", ""),
            rows(compared.df2_unq_rows, "right_only", ""),
            *(rows(compared.intersect_rows.filter(~pl.col(f"{field}_match")), "conflict", field) for field in FIELDS),
        ]
    ).write_parquet(answer)


AUDIT_HELPER = """
copy (
    with

    a as (
        select *, row_number() over (partition by surrogate_key order by surrogate_key) as pk_row_num
        from (select {columns}, md5(coalesce({key}, '_null_')) as surrogate_key from '{folder}/crm/records.parquet')
    ),

    b as (
        select *, row_number() over (partition by surrogate_key order by surrogate_key) as pk_row_num
        from (select {columns}, md5(coalesce({key}, '_null_')) as surrogate_key from '{folder}/billing/records.parquet')
    ),

    all_records as (
        select *, true as in_a, true as in_b from (select * from a intersect select * from b)
        union all
        select *, true, false from (select * from a except select * from b)
        union all
        select *, false, true from (select * from b except select * from a)
    ),

    classified as (
        select
            *,
            case
                when max(pk_row_num) over (partition by surrogate_key) > 1 then 'nonunique_pk'
                when in_a and in_b then 'identical'
                when bool_or(in_a) over (partition by surrogate_key, pk_row_num)
                    and bool_or(in_b) over (partition by surrogate_key, pk_row_num) then 'conflict'
                when in_a then 'left_only'
                when in_b then 'right_only'
            end as row_status
        from all_records
    ),

    final as (
        select
            *,
            dense_rank() over (partition by row_status order by surrogate_key, pk_row_num)
                + dense_rank() over (partition by row_status order by surrogate_key desc, pk_row_num desc)
                - 1 as rows_in_status,
            dense_rank() over (partition by row_status order by surrogate_key, pk_row_num) as sample_number
        from classified
    )

    select record_number as record_key, row_status as bucket, * exclude (record_number, row_status)
    from final
    where row_status != 'identical'
    order by row_status, sample_number
) to '{answer}' (format parquet)
"""


def by_audit_helper(folder: Path, answer: Path) -> None:
    import duckdb

    key = f"upper({trimmed(KEY)})"
    values = {KEY: key}
    for field in FIELDS:
        values[field] = field if field in TYPED else trimmed(field)
    values["email"] = f"lower({values['email']})"
    columns = ", ".join(f"{value} as {name}" for name, value in values.items())
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set temp_directory = '{answer.parent}/spill'")
        connection.execute(AUDIT_HELPER.format(key=key, columns=columns, folder=folder, answer=answer))


PEERS = {"polars": by_polars, "datacompy": by_datacompy, "audit-helper": by_audit_helper}

if __name__ == "__main__":
    peer, folder, answer = sys.argv[1:]
    began = perf_counter()
    PEERS[peer](Path(folder), Path(answer))
    print(json.dumps({"seconds": perf_counter() - began}))
