"""Imports go down: DESIGN, "The house"."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [*ROOT.glob("xlclass/**/*.py"), *ROOT.glob("jobs/*.py")]
FILES = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in SOURCES}
GROUND = {f"xlclass.{name}" for name in ("config", "errors", "parsing", "folders", "logs", "quiet", "redaction", "schemas", "terminal")}
ROOMS = {f"xlclass.{name}" for name in ("catalog", "encoders", "model", "quality")}  # none imports another
TENSORFLOW = {"tensorflow", "keras", "tf_keras", "tensorflow_text", "tensorflow_hub"}


def imported(node, *, whole):
    """Dotted names that `node` imports: anywhere in it, or with `whole` false outside functions and TYPE_CHECKING only."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "a relative import: write xlclass."
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif whole or not (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))):
        for child in ast.iter_child_nodes(node):
            yield from imported(child, whole=whole)


def imports(module, *, whole=True):
    return list(imported(ast.parse(FILES[module].read_text(encoding="utf-8")), whole=whole))


def house(module):
    """The room or file of the package that a dotted name lies in: xlclass.model.head.confidences -> xlclass.model."""
    return ".".join(module.split(".")[:2])


def of_house(module):
    """Rooms and files of xlclass that `module` imports, its own and the package's root left out; `__version__` is none."""
    return {house(name) for name in imports(module)} & {house(name) for name in FILES} - {house(module), "xlclass"}


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_go_down(module):
    if module == "xlclass":
        assert not imports(module)
    if house(module) in GROUND | ROOMS:
        assert of_house(module) <= GROUND
    if house(module) == "xlclass.lake":
        assert of_house(module) <= GROUND | ROOMS | {"xlclass.doctor"}
    if house(module) != "xlclass.cli":
        assert "xlclass.commands" not in of_house(module)


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_leave_tensorflow_to_functions(module):
    assert not {name.split(".")[0] for name in imports(module, whole=False)} & TENSORFLOW


@pytest.mark.parametrize("module", sorted(name for name in FILES if house(name) in GROUND | {"xlclass.model"}))
def test_imports_of_model_and_ground_floor_leave_spark_out(module):
    assert not {name.split(".")[0] for name in imports(module)} & {"pyspark", "delta", "py4j"}


def test_imports_of_doctor_are_there_before_any_package():
    """`python3 -m xlclass.doctor` says what a fresh machine lacks."""
    outside = [name for name in imports("xlclass.doctor", whole=False) if name.split(".")[0] not in sys.stdlib_module_names]
    assert {house(name) for name in outside} <= {"xlclass.errors"}


def test_imports_know_every_room():
    assert GROUND | ROOMS | {"xlclass.lake"} <= {house(name) for name in FILES}
