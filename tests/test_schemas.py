"""The contracts of the tables, and the bytes of a vector.

`tests/golden/schemas.txt` shows every contract: a change there is a change for every reader of the tables. Schemas evolve by
addition only. XLCLASS_REFRESH_GOLDEN=1 rewrites the file if the only changes are new tables, new nullable columns at the end of
a table (before its vectors), or the wording of comments and constraints; review the difference and commit it. Any other change
breaks readers, and the test refuses to write it. If it is intended, remove the old lines from the file by hand and record the
change in CHANGELOG.md.
"""

import dataclasses
import os
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from xlclass import schemas
from xlclass.schemas import EMBEDDINGS, LATEST, RUNS, TABLES, Column, Table, pack_vectors, unpack_vectors

GOLDEN = Path(__file__).parent / "golden" / "schemas.txt"
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
SCALAR = "string|bigint|double|float|timestamp|binary"
NO_COUNTS = {"input_digest", "event_number", "seed", "versions_read"}  # whole numbers that are not counts
NAMED_COUNTS = {"support", "rows_in", "rows_ok", "rows_rejected", "rows_reused", "rules"}  # counts with names of their own


def rendered(table: Table) -> str:
    """A contract as text, a line per column."""
    lines = [f"{table.name}: {table.grain}", f"  KEY ({', '.join(table.keys)})"]
    if table.cluster_by:
        lines.append(f"  CLUSTER BY ({', '.join(table.cluster_by)})")
    lines += [f"  {column.name} {column.type}{' NOT NULL' * column.required} -- {column.comment}" for column in table.columns]
    lines += [f"  CONSTRAINT {name} CHECK ({check})" for name, check in table.checks]
    return "\n".join(lines) + "\n"


def fields(column: Column) -> list[tuple[str, str]]:
    """Names and types of the column and of the fields inside it; a type that wraps one scalar counts as that scalar."""
    inner = re.findall(rf"(\w+): ({SCALAR})\b", column.type)
    scalar = column.type if re.fullmatch(SCALAR, column.type) else re.sub(rf".*<(?:string, )?({SCALAR})>$", r"\1", column.type)
    return [(column.name, scalar), *inner]


def columns_in(check: str) -> set[str]:
    """The columns that a constraint uses: its lower-case words outside quotes, without functions."""
    return set(re.findall(r"\b[a-z_][a-z0-9_]*\b(?!\()", re.sub(r"'[^']*'", "", check)))


def passes(check: str, **values: object) -> bool:
    """Whether a row passes the constraint under SQL's rules: a constraint that evaluates to null passes."""
    row = ", ".join(f":{name} AS {name}" for name in values)
    with sqlite3.connect(":memory:") as database:
        return database.execute(f"SELECT {check} FROM (SELECT {row})", values).fetchone()[0] != 0


def frozen(text: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """The tables of the golden file by name: the line of the keys, and name and type (with NOT NULL) of each column."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    columns = [[tuple(line.split(" -- ")[0].strip().split(" ", 1)) for line in lines if " -- " in line] for lines in blocks]
    return {lines[0].split(":")[0]: (lines[1].strip(), of_table) for lines, of_table in zip(blocks, columns, strict=True)}


def breaking_changes(old: str, new: str) -> list[str]:
    """The changes from `old` to `new` that break readers; both are texts in the form of the golden file."""
    before, now = frozen(old), frozen(new)
    problems = [f"table {name} is gone" for name in before if name not in now]
    for name in before.keys() & now.keys():
        (old_keys, old_columns), (keys, columns) = before[name], now[name]
        added = [column for column in columns if column[0] not in dict(old_columns)]
        vectors = [column for column in old_columns + added if column[1].startswith("binary")]
        scalars = [column for column in old_columns + added if not column[1].startswith("binary")]
        if old_keys != keys or columns != scalars + vectors or any(kind.endswith("NOT NULL") for _, kind in added):
            problems.append(f"table {name}: a key or column was removed, renamed, retyped or moved, or a new one is not last or NOT NULL")
    return problems


def test_tables_match_the_golden_file():
    text, golden = "\n".join(rendered(table) for table in TABLES), GOLDEN.read_text(encoding="utf-8")
    assert breaking_changes(golden, text) == [], "this breaks readers: see the docstring of this file"
    if os.environ.get("XLCLASS_REFRESH_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")
        golden = text
    assert text == golden, "a contract changed: XLCLASS_REFRESH_GOLDEN=1 rewrites the golden file"


NEW = Column("mood", "string", "new")
NEW_VECTOR = Column("sound", "binary", "new")
EVOLUTIONS = {  # a change of the columns, and whether readers can follow it
    "same": (lambda columns: columns, True),
    "column added before the vectors": (lambda columns: (*columns[:-2], NEW, *columns[-2:]), True),
    "vector added": (lambda columns: (*columns, NEW_VECTOR), True),
    "comment reworded": (lambda columns: (dataclasses.replace(columns[0], comment="reworded"), *columns[1:]), True),
    "column added behind the vectors": (lambda columns: (*columns, NEW), False),
    "column added in the middle": (lambda columns: (columns[0], NEW, *columns[1:]), False),
    "column added as NOT NULL": (lambda columns: (*columns[:-2], dataclasses.replace(NEW, required=True), *columns[-2:]), False),
    "column removed": (lambda columns: columns[1:], False),
    "column moved": (lambda columns: (columns[1], columns[0], *columns[2:]), False),
    "column renamed": (lambda columns: (dataclasses.replace(columns[0], name="id"), *columns[1:]), False),
    "column retyped": (lambda columns: (dataclasses.replace(columns[0], type="bigint"), *columns[1:]), False),
    "column made nullable": (lambda columns: (dataclasses.replace(columns[0], required=False), *columns[1:]), False),
}


def test_schemas_evolve_by_addition_only():
    accepted = {}
    for name, (change, _) in EVOLUTIONS.items():
        changed = dataclasses.replace(EMBEDDINGS, columns=change(EMBEDDINGS.columns))
        accepted[name] = not breaking_changes(rendered(EMBEDDINGS), rendered(changed))
    assert accepted == {name: is_accepted for name, (_, is_accepted) in EVOLUTIONS.items()}


def test_schemas_lose_no_table_and_no_key():
    two_tables = rendered(EMBEDDINGS) + "\n" + rendered(RUNS)
    assert breaking_changes(two_tables, rendered(RUNS)) == ["table embeddings is gone"]
    assert breaking_changes(rendered(RUNS), two_tables) == []
    assert breaking_changes(rendered(RUNS), rendered(dataclasses.replace(RUNS, keys=("run_id", "job"))))


def test_tables_list_every_contract_once():
    assert {table.name for table in TABLES} == {value.name for value in (*vars(schemas).values(), *LATEST) if isinstance(value, Table)}
    assert len({table.name for table in TABLES}) == len(TABLES)


def test_tables_state_their_grain():
    assert [table.name for table in TABLES if not table.grain.startswith("One row per ")] == []


def test_tables_have_a_comment_on_every_column():
    assert [(table.name, column.name) for table in TABLES for column in table.columns if not column.comment.strip()] == []


def test_tables_have_snake_case_names():
    names = [
        name
        for table in TABLES
        for name in [table.name, *(name for column in table.columns for name, _ in fields(column)), *(name for name, _ in table.checks)]
    ]
    assert [name for name in names if not SNAKE.fullmatch(name)] == []


def test_tables_have_each_column_and_constraint_once():
    assert [table.name for table in TABLES if len(set(table.names)) != len(table.columns)] == []
    assert [table.name for table in TABLES if len(dict(table.checks)) != len(table.checks)] == []


def test_tables_have_types_of_spark():
    struct = rf"struct<\w+: (?:{SCALAR})(?:, \w+: (?:{SCALAR}))*>"
    allowed = re.compile(rf"(?:{SCALAR}|{struct}|array<(?:{SCALAR}|{struct})>|map<string, (?:{SCALAR})>)")
    assert [(table.name, column.type) for table in TABLES for column in table.columns if not allowed.fullmatch(column.type)] == []


def test_tables_have_scalar_keys_that_are_not_null():
    assert [table.name for table in TABLES if not table.keys] == []
    keys = [(table.name, column) for table in TABLES for column in table.columns if column.name in table.keys]
    assert len(keys) == sum(len(table.keys) for table in TABLES)
    assert [(name, column.name) for name, column in keys if not (column.required and re.fullmatch(SCALAR, column.type))] == []


def test_tables_are_clustered_by_columns_with_statistics():
    """Delta keeps minima and maxima of scalars only, and of the first 32 columns."""
    for table in TABLES:
        with_statistics = {column.name for column in table.columns[:32] if re.fullmatch(SCALAR, column.type) and column.type != "binary"}
        assert set(table.cluster_by) <= with_statistics, table.name


def test_tables_have_their_vectors_last():
    are_vectors = {table.name: [column.type == "binary" for column in table.columns] for table in TABLES}
    assert [name for name, flags in are_vectors.items() if flags != sorted(flags)] == []


def test_constraints_use_columns_of_their_table():
    wrong = [(table.name, name) for table in TABLES for name, check in table.checks if not columns_in(check) or not columns_in(check) <= set(table.names)]
    assert wrong == []


def test_share_constraints_accept_null_and_0_to_1_only():
    wrong = []
    for check in {check for table in TABLES for name, check in table.checks if name.endswith("_share")}:
        (column,) = columns_in(check)
        accepted = [value for value in (None, 0.0, 0.5, 1.0, -0.001, 1.001) if passes(check, **{column: value})]
        if accepted != [None, 0.0, 0.5, 1.0]:
            wrong.append((check, accepted))
    assert wrong == []


def test_known_constraints_accept_the_values_that_the_comment_names():
    wrong = []
    for table in TABLES:
        comments = {column.name: column.comment for column in table.columns}
        for name, check in table.checks:
            if name.endswith("_known"):
                (column,) = columns_in(check)
                allowed = re.findall(r"'([^']*)'", check)
                wrong += [(table.name, check, value) for value in allowed if not passes(check, **{column: value})]
                wrong += [(table.name, check, value) for value in allowed if not re.search(rf"\b{value}\b", comments[column])]
                wrong += [(table.name, check)] * passes(check, **{column: "something else"})
    assert wrong == []


def test_times_end_in_at():
    columns = [(table.name, name, kind) for table in TABLES for column in table.columns for name, kind in fields(column)]
    assert [column for column in columns if column[1].endswith("_at") != (column[2] == "timestamp")] == []


def test_counts_start_with_num():
    columns = [(table.name, name, kind) for table in TABLES for column in table.columns for name, kind in fields(column)]
    unnamed = {column for column in columns if column[2] == "bigint" and not column[1].startswith("num_")}
    assert {column for column in unnamed if column[1] not in NO_COUNTS | NAMED_COUNTS} == set()
    assert {column for column in columns if column[1].startswith("num_") and column[2] != "bigint"} == set()


def test_runs_accepts_only_counts_that_add_up():
    names = ("rows_in", "rows_ok", "rows_rejected", "rows_reused")
    counts = [(10, 7, 2, 1), (10, 7, 2, 0), (0, 0, 0, 0), (None, None, None, None)]
    assert [passes(dict(RUNS.checks)["rows_add_up"], **dict(zip(names, row, strict=True))) for row in counts] == [True, False, True, True]


def test_pack_vectors_gives_float16_little_endian():
    """IEEE 754: 1.0 is 0x3C00, -2.0 is 0xC000; the low byte comes first on every machine."""
    assert pack_vectors(np.array([[1.0, -2.0]], np.float32)) == [b"\x00\x3c\x00\xc0"]
    assert pack_vectors(np.array([[1.0, -2.0]], ">f8")) == [b"\x00\x3c\x00\xc0"]


@pytest.mark.parametrize("num", [0, 1, 300])
def test_unpack_vectors_restores_packed_vectors(num):
    vectors = np.random.default_rng(7).uniform(-1, 1, (num, 512)).astype(np.float32)
    restored = unpack_vectors(pack_vectors(vectors), 512)
    assert restored.shape == (num, 512)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, vectors, rtol=2**-11, atol=2**-25)  # half a unit of float16's 11 bits; subnormals below 2**-14
    np.testing.assert_array_equal(unpack_vectors(pack_vectors(restored), 512), restored)


def test_pack_vectors_accepts_rows_that_are_not_contiguous():
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(unpack_vectors(pack_vectors(vectors.T), 3), vectors.T)


@pytest.mark.parametrize(
    "packed",
    [
        [b"\x00\x3c"],  # one number instead of two
        [b"\x00\x3c" * 3],
        [b"\x00\x3c\x00"],  # half a number too many
        [b""],
        [b"\x00\x3c", b"\x00\x3c" * 3],  # in total as many numbers as two good rows
    ],
    ids=["short", "long", "odd", "empty", "mixed"],
)
def test_unpack_vectors_refuses_a_row_of_another_length(packed):
    with pytest.raises(ValueError, match="a vector does not hold 2 float16 numbers"):
        unpack_vectors(packed, 2)
