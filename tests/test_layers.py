"""Imports go down: DESIGN, "The house"."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = [*ROOT.glob("xlclass/**/*.py"), *ROOT.glob("jobs/*.py")]
FILES = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in SOURCES}
FLOORS = (  # a module imports from the floors below its own, and from its own room
    ("config", "errors", "schemas", "runtime"),
    ("catalog", "encoders", "model", "quality", "cookbook"),  # none imports another
    ("lake",),
    ("pipeline",),
    ("training", "evaluation"),
    ("report",),
    ("cli",),
)
FLOOR = {f"xlclass.{name}": number for number, names in enumerate(FLOORS) for name in names}
GROUND = {name for name, number in FLOOR.items() if number == 0}  # its modules import each other, but none from above
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


def room(module):
    """The room or file of the package that a dotted name lies in: xlclass.model.head.logits -> xlclass.model."""
    return ".".join(module.split(".")[:2])


def rooms_imported(module):
    """Rooms and files of xlclass that `module` imports, its own and the package's root left out; `__version__` is none."""
    return {room(name) for name in imports(module)} & {room(name) for name in FILES} - {room(module), "xlclass"}


def test_imports_go_down():
    upward = [
        (module, other)
        for module in sorted(FILES)
        if room(module) in FLOOR
        for other in rooms_imported(module)
        if not (FLOOR[other] < FLOOR[room(module)] or {other, room(module)} <= GROUND)
    ]
    assert not upward
    assert not imports("xlclass")


def test_imports_leave_tensorflow_to_functions():
    assert not [module for module in FILES if {name.split(".")[0] for name in imports(module, whole=False)} & TENSORFLOW]


def test_imports_of_model_and_ground_floor_leave_spark_out():
    without_spark = [module for module in FILES if room(module) in GROUND | {"xlclass.model"}]
    assert not [module for module in without_spark if {name.split(".")[0] for name in imports(module)} & {"pyspark", "delta", "py4j"}]


def test_imports_of_requirements_are_there_before_any_package():
    """`python3 -m xlclass.runtime.requirements` says what a fresh machine lacks."""
    before = ("xlclass.errors", "xlclass.runtime.files", "xlclass.runtime.requirements")
    outside = [name for module in before for name in imports(module, whole=False) if name.split(".")[0] not in sys.stdlib_module_names]
    assert not [name for name in outside if not name.startswith(tuple(f"{module}." for module in before))]


def test_floors_name_every_room():
    assert set(FLOOR) == {room(name) for name in FILES if name.startswith("xlclass.")}


def test_root_holds_only_the_ground():
    assert {name for name in FILES if name.count(".") == 1 and FILES[name].name != "__init__.py" and name.startswith("xlclass.")} == {
        "xlclass.config",
        "xlclass.errors",
        "xlclass.schemas",
    }
