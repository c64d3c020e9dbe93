"""The tables' contracts, and the bytes of a vector.

`tests/golden/schemas.txt` shows every contract: a change of it is a change for every reader of the tables. Schemas evolve by
addition only: XLCLASS_REFRESH_GOLDEN=1 writes the file anew where nothing but new tables, new nullable columns at a table's
end (before its vectors) and new words of comments or constraints came to it; look at the difference, and commit it. Anything
else breaks readers, so the test refuses to write it: who means it takes the old lines out of the file by hand, and says so
in CHANGELOG.md.
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
# Whole numbers that are no counts, and the counts that DESIGN and the field itself name otherwise.
NO_COUNTS = {"input_digest", "event_number", "seed", "versions_read"}
NAMED_COUNTS = {"support", "rows_in", "rows_ok", "rows_rejected", "rows_reused", "rules"}

each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


def rendered(table: Table) -> str:
    """A contract as text, a line per column."""
    lines = [f"{table.name}: {table.grain}", f"  KEY ({', '.join(table.keys)})"]
    if table.cluster_by:
        lines.append(f"  CLUSTER BY ({', '.join(table.cluster_by)})")
    lines += [f"  {column.name} {column.type}{' NOT NULL' * column.required} -- {column.comment}" for column in table.columns]
    lines += [f"  CONSTRAINT {name} CHECK ({check})" for name, check in table.checks]
    return "\n".join(lines) + "\n"


def fields(column: Column) -> list[tuple[str, str]]:
    """Names and types of the column and of the fields within it; a type of one scalar is that scalar."""
    inner = re.findall(rf"(\w+): ({SCALAR})\b", column.type)
    whole = column.type if re.fullmatch(SCALAR, column.type) else re.sub(rf".*<(?:string, )?({SCALAR})>$", r"\1", column.type)
    return [(column.name, whole), *inner]


def words(check: str) -> set[str]:
    """The columns that a constraint speaks of: its lower-case words outside quotes, functions left out."""
    return set(re.findall(r"\b[a-z_][a-z0-9_]*\b(?!\()", re.sub(r"'[^']*'", "", check)))


def holds(check: str, **values: object) -> bool:
    """Whether a row passes the constraint, as SQL says it: one that gives null passes."""
    row = ", ".join(f":{name} AS {name}" for name in values)
    with sqlite3.connect(":memory:") as database:
        return database.execute(f"SELECT {check} FROM (SELECT {row})", values).fetchone()[0] != 0


def frozen(text: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """The golden file's tables by name: the line of the keys, and name and type (with NOT NULL) of each column."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    columns = [[tuple(line.split(" -- ")[0].strip().split(" ", 1)) for line in lines if " -- " in line] for lines in blocks]
    return {lines[0].split(":")[0]: (lines[1].strip(), found) for lines, found in zip(blocks, columns, strict=True)}


def broken(old: str, new: str) -> list[str]:
    """What readers of the tables of `old` lose with those of `new`, both as the golden file has them."""
    before, now = frozen(old), frozen(new)
    lost = [f"table {name} is gone" for name in before if name not in now]
    for name in before.keys() & now.keys():
        (old_keys, old_columns), (keys, columns) = before[name], now[name]
        added = [column for column in columns if column[0] not in dict(old_columns)]
        vectors = [column for column in old_columns + added if column[1].startswith("binary")]
        rest = [column for column in old_columns + added if not column[1].startswith("binary")]
        if old_keys != keys or columns != rest + vectors or any(kind.endswith("NOT NULL") for _, kind in added):
            lost.append(f"table {name}: a key or column was removed, renamed, retyped or moved, or a new one is not last or NOT NULL")
    return lost


def test_tables_are_those_of_the_golden_file():
    text, golden = "\n".join(rendered(table) for table in TABLES), GOLDEN.read_text(encoding="utf-8")
    assert broken(golden, text) == [], "this breaks readers: see the head of this file"
    if os.environ.get("XLCLASS_REFRESH_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")
        golden = text
    assert text == golden, "a contract changed: XLCLASS_REFRESH_GOLDEN=1 writes the golden file anew"


NEW = Column("mood", "string", "new")
A_VECTOR = Column("sound", "binary", "new")


@pytest.mark.parametrize(
    ("change", "is_fine"),
    [
        (lambda columns: columns, True),
        (lambda columns: (*columns[:-2], NEW, *columns[-2:]), True),  # last but the vectors
        (lambda columns: (*columns, A_VECTOR), True),
        (lambda columns: (dataclasses.replace(columns[0], comment="said better"), *columns[1:]), True),
        (lambda columns: (*columns, NEW), False),  # behind the vectors
        (lambda columns: (columns[0], NEW, *columns[1:]), False),
        (lambda columns: (*columns[:-2], dataclasses.replace(NEW, required=True), *columns[-2:]), False),  # old rows have none
        (lambda columns: columns[1:], False),
        (lambda columns: (columns[1], columns[0], *columns[2:]), False),
        (lambda columns: (dataclasses.replace(columns[0], name="id"), *columns[1:]), False),
        (lambda columns: (dataclasses.replace(columns[0], type="bigint"), *columns[1:]), False),
        (lambda columns: (dataclasses.replace(columns[0], required=False), *columns[1:]), False),
    ],
    ids=["same", "added", "vector added", "comment", "behind vectors", "in the middle", "not null", "removed", "moved", "renamed", "retyped", "nullable"],
)
def test_schemas_evolve_by_addition_only(change, is_fine):
    changed = dataclasses.replace(EMBEDDINGS, columns=change(EMBEDDINGS.columns))
    assert (not broken(rendered(EMBEDDINGS), rendered(changed))) is is_fine


def test_schemas_lose_no_table_and_no_key():
    both = rendered(EMBEDDINGS) + "\n" + rendered(RUNS)
    assert broken(both, rendered(RUNS)) == ["table embeddings is gone"]
    assert broken(rendered(RUNS), both) == []
    assert broken(rendered(RUNS), rendered(dataclasses.replace(RUNS, keys=("run_id", "job"))))


def test_tables_lists_every_contract_once():
    assert {table.name for table in TABLES} == {value.name for value in (*vars(schemas).values(), *LATEST) if isinstance(value, Table)}
    assert len({table.name for table in TABLES}) == len(TABLES)


@each_table
def test_table_says_its_grain(table):
    assert table.grain.startswith("one row per ")


@each_table
def test_table_has_a_comment_on_every_column(table):
    assert [column.name for column in table.columns if not column.comment.strip()] == []


@each_table
def test_table_has_snake_case_names(table):
    names = [table.name, *(name for column in table.columns for name, _ in fields(column)), *(name for name, _ in table.checks)]
    assert [name for name in names if not SNAKE.fullmatch(name)] == []


@each_table
def test_table_has_each_column_once(table):
    assert len(set(table.names)) == len(table.columns)
    assert len({name for name, _ in table.checks}) == len(table.checks)


@each_table
def test_table_has_types_of_spark(table):
    struct = rf"struct<\w+: (?:{SCALAR})(?:, \w+: (?:{SCALAR}))*>"
    known = re.compile(rf"(?:{SCALAR}|{struct}|array<(?:{SCALAR}|{struct})>|map<string, (?:{SCALAR})>)")
    assert [column.type for column in table.columns if not known.fullmatch(column.type)] == []


@each_table
def test_table_has_keys_that_are_not_null(table):
    columns = {column.name: column for column in table.columns}
    assert table.keys
    assert all(columns[key].required and re.fullmatch(SCALAR, columns[key].type) for key in table.keys)


@each_table
def test_table_is_clustered_by_columns_with_statistics(table):
    """Delta keeps minima and maxima of scalars only, and of the first 32 columns."""
    scalars = [column.name for column in table.columns[:32] if re.fullmatch(SCALAR, column.type) and column.type != "binary"]
    assert set(table.cluster_by) <= set(scalars)


@each_table
def test_table_has_its_vectors_last(table):
    binaries = [column.type == "binary" for column in table.columns]
    assert binaries == sorted(binaries)


@each_table
def test_table_has_constraints_on_its_own_columns(table):
    for name, check in table.checks:
        assert words(check), name
        assert words(check) <= set(table.names), name


@each_table
def test_table_has_shares_between_nought_and_one_or_null(table):
    for name, check in table.checks:
        if name.endswith("_share"):
            (column,) = words(check)
            assert all(holds(check, **{column: value}) for value in (None, 0.0, 0.5, 1.0))
            assert not any(holds(check, **{column: value}) for value in (-0.001, 1.001))


@each_table
def test_table_comments_name_the_values_that_a_constraint_allows(table):
    comments = {column.name: column.comment for column in table.columns}
    for name, check in table.checks:
        if name.endswith("_known"):
            (column,) = words(check)
            allowed = re.findall(r"'([^']*)'", check)
            assert all(holds(check, **{column: value}) for value in allowed)
            assert not holds(check, **{column: "something else"})
            assert [value for value in allowed if not re.search(rf"\b{value}\b", comments[column])] == []


@each_table
def test_table_has_times_that_end_in_at(table):
    for column in table.columns:
        assert [name for name, kind in fields(column) if name.endswith("_at") != (kind == "timestamp")] == []


@each_table
def test_table_has_counts_that_start_with_num(table):
    whole_numbers = {name for column in table.columns for name, kind in fields(column) if kind == "bigint"}
    assert {name for name in whole_numbers if not name.startswith("num_")} <= NO_COUNTS | NAMED_COUNTS
    assert all(kind == "bigint" for column in table.columns for name, kind in fields(column) if name.startswith("num_"))


@pytest.mark.parametrize(("counts", "passes"), [((10, 7, 2, 1), True), ((10, 7, 2, 0), False), ((0, 0, 0, 0), True), ((None, None, None, None), True)])
def test_runs_has_rows_that_add_up(counts, passes):
    names = ("rows_in", "rows_ok", "rows_rejected", "rows_reused")
    assert holds(dict(RUNS.checks)["rows_add_up"], **dict(zip(names, counts, strict=True))) is passes


def test_pack_vectors_is_float16_little_endian():
    """IEEE 754: 1.0 is 0x3C00, -2.0 is 0xC000; the low byte first, on any machine."""
    assert pack_vectors(np.array([[1.0, -2.0]], np.float32)) == [b"\x00\x3c\x00\xc0"]
    assert pack_vectors(np.array([[1.0, -2.0]], ">f8")) == [b"\x00\x3c\x00\xc0"]


@pytest.mark.parametrize("num", [0, 1, 300])
def test_unpack_vectors_gives_back_what_was_packed(num):
    vectors = np.random.default_rng(7).uniform(-1, 1, (num, 512)).astype(np.float32)
    back = unpack_vectors(pack_vectors(vectors), 512)
    assert back.shape == (num, 512)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, vectors, rtol=2**-11, atol=2**-25)  # half a unit of float16's 11 bits; subnormals below 2**-14
    np.testing.assert_array_equal(unpack_vectors(pack_vectors(back), 512), back)


def test_pack_vectors_takes_rows_that_are_not_contiguous():
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(unpack_vectors(pack_vectors(vectors.T), 3), vectors.T)


@pytest.mark.parametrize(
    "packed",
    [
        [b"\x00\x3c"],  # one number for two
        [b"\x00\x3c" * 3],
        [b"\x00\x3c\x00"],  # no whole number of numbers
        [b""],
        [b"\x00\x3c", b"\x00\x3c" * 3],  # as many numbers in all as two good rows have
    ],
    ids=["short", "long", "odd", "empty", "mixed"],
)
def test_unpack_vectors_refuses_another_length(packed):
    with pytest.raises(ValueError, match="a vector has not 2 float16 numbers"):
        unpack_vectors(packed, 2)
