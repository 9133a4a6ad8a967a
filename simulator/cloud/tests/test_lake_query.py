"""SQL on the catalog: the rows of the files, of the partitions that are needed, and no others."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cloud.errors import AwsError
from simulator.cloud.glue_store import CatalogStore, Database, Partition, Table
from simulator.cloud.lake_access import TableAccess
from simulator.cloud.lake_query import LakeQuery, MayRead, Result
from simulator.cloud.lake_types import duckdb_type
from simulator.cloud.tests.twin import START

PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
LINES = "org.openx.data.jsonserde.JsonSerDe"
PROJECTED = {
    "projection.enabled": "true",
    "projection.dt.type": "date",
    "projection.dt.format": "yyyy-MM-dd",
    "projection.dt.range": "2026-01-02,NOW",
    "projection.hour.type": "integer",
    "projection.hour.range": "0,23",
    "projection.hour.digits": "2",
}
KEYS = [{"Name": "dt", "Type": "string"}, {"Name": "hour", "Type": "string"}]
DAYS = [f"2026-01-0{day}" for day in range(1, 5)]
HOURS = ["00", "07", "23"]


class Lake:
    """A catalog with a Parquet table `features` and a table of lines, `readings`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.store = CatalogStore(state / "glue" / "catalog.json")
        self.database = self.store.databases["lake"] = Database("lake", {}, START)
        self.features = self.table(
            "features", PARQUET, [("device_id", "string"), ("x", "double"), ("n", "bigint")]
        )
        self.readings = self.table(
            "readings",
            LINES,
            [("device_id", "string"), ("seq", "bigint"), ("values", "map<string,double>")],
            Parameters=PROJECTED,
        )

    def table(self, name: str, serde: str, columns: list[tuple[str, str]], **more: Any) -> Table:
        described = {
            "Name": name,
            "PartitionKeys": KEYS,
            "StorageDescriptor": {
                "Location": f"s3://data/{name}/",
                "Columns": [{"Name": column, "Type": of} for column, of in columns],
                "SerdeInfo": {"SerializationLibrary": serde},
            },
            **more,
        }
        made = Table("lake", name, described, START, START, "test")
        self.database.tables[name] = made
        return made

    def write(self, key: str, body: bytes) -> None:
        path = self.state / "s3" / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def add(self, day: str, hour: str, **columns: list[Any]) -> None:
        """Add a Parquet object and register its partition."""
        self.features.partitions[(day, hour)] = Partition((day, hour), {}, START)
        out = io.BytesIO()
        pq.write_table(pa.table(columns), out)
        self.write(f"features/dt={day}/hour={hour}/1.parquet", out.getvalue())

    def query(self, may_read: MayRead = lambda table: TableAccess()) -> LakeQuery:
        return LakeQuery(self.store, self.state, may_read)

    def run(self, sql: str) -> Result:
        return self.query().run(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.run(sql).rows


def lines(*rows: dict[str, Any]) -> bytes:
    return gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def filled(state: Path) -> Lake:
    lake = Lake(state)
    for number, (day, hour) in enumerate((day, hour) for day in DAYS for hour in HOURS):
        lake.add(day, hour, device_id=["a", "b"], x=[float(number), 0.5], n=[number, -1])
        reading = {"device_id": "a", "seq": number, "values": {"t": number / 2}}
        lake.write(f"readings/dt={day}/hour={hour}/1.jsonl.gz", lines(reading))
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return filled(tmp_path_factory.mktemp("lake"))


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(AwsError) as caught:
        call()
    return f"{caught.value.code}: {caught.value.message}"


def test_rows_have_columns_and_keys(lake: Lake) -> None:
    found = lake.run("SELECT * FROM features WHERE dt = '2026-01-02' AND hour = '07' ORDER BY x")
    assert [name for name, _ in found.columns] == ["device_id", "x", "n", "dt", "hour"]
    assert found.rows == [
        ("b", 0.5, -1, "2026-01-02", "07"),
        ("a", 4.0, 4, "2026-01-02", "07"),
    ]
    (touched,) = found.touched
    assert (touched.partitions, touched.of_partitions, touched.files) == (1, 12, 1)


def test_lines_of_a_projected_table_need_no_registration(lake: Lake) -> None:
    found = lake.rows(
        """SELECT seq, "values"['t'] FROM lake.readings WHERE hour = '23' ORDER BY 1"""
    )
    assert found == [(number, number / 2) for number in (5, 8, 11)], "the first day is out of range"


atoms = st.one_of(
    st.sampled_from(DAYS).map(lambda day: f"t.dt = '{day}'"),
    st.sampled_from(DAYS).map(lambda day: f"dt > '{day}'"),
    st.sampled_from(HOURS).map(lambda hour: f"hour <> '{hour}'"),
    st.lists(st.sampled_from(HOURS), min_size=1).map(lambda some: f"hour IN {(*some, '')}"),
    st.integers(-2, 12).map(lambda number: f"n <= {number}"),
    st.sampled_from(["substr(dt, 10) = '3'", "device_id = 'a'", "hour IS NULL", "dt LIKE '%2'"]),
    st.just("n > (SELECT count(*) FROM readings WHERE dt < '2026-01-03')"),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
            lambda of: f"({of[0]} {of[1]} {of[2]})"
        ),
        inner.map(lambda one: f"NOT ({one})"),
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=60)
@given(condition=conditions)
def test_pruning_never_changes_the_answer(lake: Lake, condition: str) -> None:
    pruned = lake.run(f"SELECT dt, hour, n FROM features t WHERE {condition} ORDER BY ALL")
    # As a value in a CASE the same condition cannot choose partitions.
    whole = lake.run(
        f"SELECT dt, hour, n FROM features t WHERE CASE WHEN true THEN {condition} END ORDER BY ALL"
    )
    assert pruned.rows == whole.rows
    needed = {row[:2] for row in whole.rows}
    assert pruned.touched[0].partitions >= len(needed)


def test_conditions_prune_through_joins_subqueries_and_with(lake: Lake) -> None:
    joined = lake.run(
        "WITH late AS (SELECT * FROM features WHERE dt >= '2026-01-04') "
        "SELECT count(*) FROM late JOIN readings r ON r.seq = late.n WHERE r.hour = '07'"
    )
    assert joined.rows == [(1,)]
    assert [(one.name, one.partitions) for one in joined.touched] == [
        ("lake.features", 3),
        ("lake.readings", 3),
    ]


def test_an_outer_join_is_not_pruned_on_the_side_that_may_be_missing(lake: Lake) -> None:
    found = lake.rows(
        "SELECT count(*) FROM features f LEFT JOIN readings r ON r.seq = f.n "
        "WHERE r.dt IS NULL AND f.n >= 0"
    )
    assert found == [(3,)], "the readings of the first day are out of the projection's range"


def test_only_granted_columns_and_rows_are_seen(lake: Lake) -> None:
    def may_read(table: Table) -> TableAccess:
        if table.name == "readings":
            raise AwsError(
                "AccessDeniedException", "Insufficient Lake Formation permission(s) on readings"
            )
        return TableAccess(("device_id", "n"), ("x > 10", "dt = '2026-01-01' AND n < 0"))

    query = lake.query(may_read)
    assert query.run("SELECT * FROM features ORDER BY n").rows == [
        *[("b", -1)] * 3,
        ("a", 11),
    ]
    for column in ("x", "dt"):
        told = refused(partial(query.run, f"SELECT max({column}) FROM features"))
        assert "COLUMN_NOT_FOUND" in told
        assert "not authorized" in told
    assert refused(lambda: query.run("SELECT 1 FROM features, readings")).startswith(
        "AccessDeniedException"
    )
    assert query.run("SHOW TABLES").rows == [("features",)]
    assert query.run("DESCRIBE features").rows == [
        ("device_id", "string", ""),
        ("n", "bigint", ""),
    ]
    assert "AccessDenied" in refused(lambda: query.run("SHOW PARTITIONS readings"))


@pytest.mark.parametrize(
    "text", ["x > 1) OR (SELECT true", "1=1; DROP TABLE x", "n IN (SELECT 1)", "x >", "getenv('A')"]
)
def test_a_row_filter_is_a_condition_or_nothing_is_seen(lake: Lake, text: str) -> None:
    query = lake.query(lambda table: TableAccess(None, (text,)))
    assert refused(lambda: query.run("SELECT * FROM features")).startswith("InvalidRequest")


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("DROP TABLE features", "NOT_SUPPORTED"),
        ("SELECT 1; SELECT 2", "Only one sql statement"),
        ("SELECT * FROM read_text('/etc/hostname')", "FUNCTION_NOT_FOUND: read_text"),
        ("SELECT * FROM duckdb_settings()", "FUNCTION_NOT_FOUND"),
        ("SELECT * FROM '/etc/hostname'", "TABLE_NOT_FOUND"),
        ("SELECT * FROM information_schema.tables", "SCHEMA_NOT_FOUND"),
        ("SELECT * FROM main._parts_lake_features", "SCHEMA_NOT_FOUND"),
        ("SELECT * FROM _parts_lake_features, features", "TABLE_NOT_FOUND"),
        ("SELECT * FROM other.lake.features", "CATALOG_NOT_FOUND"),
        ("SELECT nothing(n) FROM features", "FUNCTION_NOT_FOUND"),
        ("SELECT * FROM query('SELECT 1')", "FUNCTION_NOT_FOUND: query"),
        ("SELECT getenv('HOME')", "FUNCTION_NOT_FOUND: getenv"),
        ("SELEC 1", "SYNTAX_ERROR: line 1:1"),
        ("SHOW TABLES IN nowhere", "SCHEMA_NOT_FOUND"),
        ("SELECT CAST('a' AS INTEGER)", "INVALID_CAST_ARGUMENT"),
        ("COPY features TO 'out.csv'", "NOT_SUPPORTED"),
        ("ATTACH 'x.db'", "NOT_SUPPORTED"),
        ("SET enable_external_access = true", "NOT_SUPPORTED"),
    ],
)
def test_what_is_no_query_on_the_catalog_is_refused(lake: Lake, sql: str, named: str) -> None:
    assert named in refused(lambda: lake.run(sql))


def test_what_trino_calls_otherwise(lake: Lake) -> None:
    assert lake.rows(
        "SELECT CAST(from_unixtime(1.5) AS VARCHAR), regexp_like('pump-1', 'p.*'), "
        "json_extract_scalar('{\"a\":1}', '$.a'), approx_distinct(n), arbitrary(1) FROM features "
        "WHERE hour = '00' AND dt = '2026-01-01'"
    ) == [("1970-01-01 00:00:01.5", True, "1", 2, 1)]


def test_show_and_describe(lake: Lake) -> None:
    assert lake.rows("show databases") == [("lake",)]
    assert lake.rows("SHOW TABLES") == [("features",), ("readings",)]
    assert lake.rows("SHOW TABLES IN lake 'read*'") == [("readings",)]
    assert lake.rows("SHOW PARTITIONS features")[0] == ("dt=2026-01-01/hour=00",)
    assert len(lake.rows("SHOW PARTITIONS lake.readings")) == 9
    assert lake.rows("SHOW COLUMNS IN features")[-1] == ("hour",)
    assert lake.rows("DESCRIBE readings")[2] == ("values", "map<string,double>", "")
    assert lake.rows("DESCRIBE readings")[-1] == ("hour", "string", "partition key")


def test_a_new_column_is_null_in_older_files(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.add("2026-01-01", "00", device_id=["a"], x=[1.0], n=pa.array([1], pa.int32()))
    lake.features.input["StorageDescriptor"]["Columns"].append({"Name": "new", "Type": "double"})
    assert lake.rows("SELECT n, new FROM features") == [(1, None)]
    lake.add("2026-01-01", "01", device_id=["a"], x=[1.0], n=[2], new=[7.0])
    assert lake.rows("SELECT n, new FROM features ORDER BY n") == [(1, None), (2, 7.0)]


def test_a_broken_or_misfit_file_is_named_by_its_uri(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.add("2026-01-01", "00", device_id=["a"], x=[1.0], n=[1])
    lake.add("2026-01-01", "01", device_id=["a"], x=["text"], n=[1])
    uri = "s3://data/features/dt=2026-01-01/hour=01/1.parquet"
    told = refused(lambda: lake.run("SELECT * FROM features"))
    assert "HIVE_BAD_DATA: Field x's type VARCHAR" in told
    assert uri in told
    lake.write("features/dt=2026-01-01/hour=01/1.parquet", b"PAR1 cut off")
    told = refused(lambda: lake.run("SELECT n FROM features"))
    assert "HIVE_BAD_DATA" in told
    assert uri in told
    assert lake.rows("SELECT n FROM features WHERE hour = '00'") == [(1,)]
    lake.write("readings/dt=2026-01-03/hour=00/1.jsonl", b'{"seq": 1}\n{"seq": "no"}\n{"se')
    told = refused(lambda: lake.run("SELECT * FROM readings"))
    assert "HIVE_BAD_DATA" in told
    assert "s3://data/readings/dt=2026-01-03/hour=00/1.jsonl" in told
    lake.readings.input["StorageDescriptor"]["SerdeInfo"]["Parameters"] = {
        "ignore.malformed.json": "true"
    }
    assert lake.rows("SELECT seq FROM readings WHERE seq IS NOT NULL") == [(1,)]


def test_empty_tables_hidden_files_and_empty_objects(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.rows("SELECT count(*), max(hour) FROM features") == [(0, None)]
    lake.write("readings/dt=2026-01-03/hour=00/_temporary/1.jsonl", b"no data")
    lake.write("readings/dt=2026-01-03/hour=00/.hidden", b"no data")
    lake.write("readings/dt=2026-01-03/hour=00/empty.jsonl", b"")
    lake.write("readings/dt=2026-01-03/hour=7/1.jsonl", lines({"seq": 1}))
    lake.write("readings/dt=yesterday/hour=00/1.jsonl", lines({"seq": 1}))
    assert lake.rows("SELECT count(*) FROM readings") == [(0,)]


def test_types_of_hive() -> None:
    assert duckdb_type("map<string,array<struct<a:int,b:decimal(9,2)>>>") == (
        'MAP(VARCHAR, STRUCT("a" INTEGER, "b" DECIMAL(9,2))[])'
    )
    assert duckdb_type("VARCHAR(10)") == "VARCHAR"
    with pytest.raises(AwsError, match="interval"):
        duckdb_type("interval")
