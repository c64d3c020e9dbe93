"""The data dictionary: the table contracts of `schemas.py` as text for a terminal and as the page TABLES.md."""

from __future__ import annotations

from collections.abc import Sequence

from xlclass.cookbook import Query
from xlclass.errors import LakeError
from xlclass.schemas import TABLES, Column, Table

READING = """\
The tables are Delta tables. Each one is a folder of the lake, here `build/demo`, which `make demo` writes. No table uses a feature that
only Spark can read (deletion vectors, column mapping). Times are in UTC. In Spark:

```python
from pathlib import Path

for log in Path("build/demo").glob("*/_delta_log"):
    spark.read.format("delta").load(str(log.parent)).createOrReplaceTempView(log.parent.name)
spark.sql("SELECT language, count(*) FROM videos GROUP BY language").show()
```

In DuckDB, without Spark (`pip install deltalake pyarrow duckdb`; no DuckDB extension is needed):

```python
from pathlib import Path
import duckdb
from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem


def table(name):
    path = f"build/demo/{name}"
    return DeltaTable(path).to_pyarrow_dataset(filesystem=SubTreeFileSystem(path, LocalFileSystem()))


lake = duckdb.connect()
lake.execute("SET TimeZone = 'UTC'")
for log in Path("build/demo").glob("*/_delta_log"):
    lake.register(log.parent.name, table(log.parent.name))
print(lake.sql("SELECT language, count(*) FROM videos GROUP BY language").fetchall())
```

The example uses Arrow's file system, not deltalake's. With deltalake's file system, which calls Python, a script may abort at its exit
after its work is done (`terminate called without an active exception`; apache/arrow issue 45214). For a bucket, use
`pyarrow.fs.S3FileSystem` or the file system of your cloud.

In pandas, with the same function `table`:

```python
predictions = table("predictions").to_table(columns=["video_id", "top_category", "top_confidence"]).to_pandas()
```

`DeltaTable(path, version=3)` reads an earlier version of a table; in Spark, use `.option("versionAsOf", 3)`.

### Vectors

`embeddings.vector` is a binary column. It holds the vector as float16 numbers, little-endian, 2 bytes each; MUSE has 512 numbers, e5 384. The L2 norm
of a vector is 1. `videos.visual_vector` has the same format. The table has one row per video and encoder. Only vectors of one encoder can be
compared: filter on one `encoder_id`, here that of the English predictions. The examples read one matrix in numpy, one array per row in pandas (`table` is the
function above), and lists of numbers in DuckDB:

```python
import numpy
import pyarrow.dataset

is_english = pyarrow.dataset.field("language") == "en"
encoder_id = table("predictions").head(1, columns=["encoder_id"], filter=is_english)["encoder_id"][0].as_py()
embeddings = table("embeddings").filter(pyarrow.dataset.field("encoder_id") == encoder_id)
vectors = embeddings.to_table(columns=["vector"])["vector"].drop_null()
matrix = numpy.frombuffer(b"".join(vectors.to_pylist()), "<f2").reshape(len(vectors), -1)
```

```python
arrays = embeddings.to_table(columns=["vector"]).to_pandas().vector.dropna().map(lambda vector: numpy.frombuffer(vector, "<f2"))
```

```sql
CREATE MACRO float16s(bytes) AS list_transform(
  list_transform(regexp_extract_all(hex(bytes), '.{4}'), lambda x: ('0x' || substr(x, 3) || substr(x, 1, 2))::INT),
  lambda h: (CASE WHEN h < 32768 THEN 1 ELSE -1 END) * CASE WHEN h // 1024 % 32 = 0 THEN h % 1024 / 16777216
            ELSE (1 + h % 1024 / 1024) * power(2, h // 1024 % 32 - 15) END);
SELECT video_id, float16s(vector) AS vector FROM embeddings
WHERE vector IS NOT NULL AND encoder_id = (SELECT any_value(encoder_id) FROM predictions WHERE language = 'en') LIMIT 10;
```
"""


def table_named(name: str) -> Table:
    """The contract of the table of this name.

    Raises:
        LakeError: there is no table of this name.
    """
    matching = [table for table in TABLES if table.name == name]
    if not matching:
        raise LakeError(f"there is no table {name}; there are: {', '.join(table.name for table in TABLES)}")
    return matching[0]


def overview(tables: Sequence[Table] = TABLES) -> str:
    """One line per table: its name and its grain."""
    width = max(len(table.name) for table in tables)
    return "\n".join(f"{table.name:<{width}}  {table.grain}" for table in tables)


def described(table: Table) -> str:
    """The contract of a table as text for a terminal."""
    width = max(len(column.name) for column in table.columns)
    columns = [f"  {column.name:<{width}}  {_kind(column):<18}  {column.comment}" for column in table.columns]
    checks = [f"  {name}: {check}" for name, check in table.checks]
    return "\n".join(
        [table.name, table.grain, *(f"{title}: {text}" for title, text in _facts(table)), "", *columns, *(["", "constraints:", *checks] if checks else [])]
    )


def page(queries: Sequence[Query]) -> str:
    """The text of TABLES.md: how to read the tables, the contract of each table, and the questions of the cookbook."""
    rows = [f"| [{table.name}](#{table.name}) | {_escaped(table.grain)} |" for table in TABLES]
    questions = {f"| [{query.name}](../xlclass/cookbook/{query.theme}.sql) | {_escaped(query.question)} |" for query in queries}
    head = [
        "# The tables",
        "",
        "`xlclass tables --markdown` writes this page from `schemas.py`. New versions of xlclass only add columns.",
        "",
        "| table | rows |",
        "|---|---|",
        *rows,
    ]
    parts = ["\n".join(head), f"## How to read the tables\n\n{READING.rstrip()}", *map(section, TABLES)]
    cookbook = [
        "## Questions",
        "",
        "`xlclass tables --cookbook NAME` prints the query. Spark and DuckDB run the same query, except where the cookbook has one for each.",
        "",
        "| query | question |",
        "|---|---|",
    ]
    return "\n\n".join([*parts, "\n".join(cookbook + sorted(questions))]) + "\n"


def section(table: Table) -> str:
    """The contract of a table as a section of the page."""
    lines = [f"## {table.name}", "", _escaped(table.grain[0].upper() + table.grain[1:]) + ".", ""]
    lines += [f"- {title}: {_escaped(text)}" for title, text in _facts(table)]
    lines += ["", "| column | type | null | meaning |", "|---|---|---|---|"]
    lines += [f"| {column.name} | `{column.type}` | {'no' if column.required else 'yes'} | {_escaped(column.comment)} |" for column in table.columns]
    if table.checks:
        lines += ["", "Constraints:", "", *(f"- {name}: `{check}`" for name, check in table.checks)]
    return "\n".join(lines)


def _facts(table: Table) -> list[tuple[str, str]]:
    clustered = [("clustered by", ", ".join(table.cluster_by))] if table.cluster_by else []
    return [("key", ", ".join(table.keys)), *clustered]


def _kind(column: Column) -> str:
    return column.type + (" not null" if column.required else "")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
