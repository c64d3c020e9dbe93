"""Imports go down: a module imports only from its own room and from the layers below."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = [*ROOT.glob("xlclass/**/*.py"), *ROOT.glob("jobs/*.py")]
FILES = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in SOURCES}
LAYERS = (  # lowest first; a module imports from the layers below its own, and from its own room
    ("config", "errors", "schemas", "runtime"),
    ("catalog", "encoders", "model", "quality", "cookbook"),  # these do not import each other
    ("lake",),
    ("pipeline",),
    ("training", "evaluation"),
    ("report",),
    ("cli",),
)
LAYER = {f"xlclass.{name}": number for number, names in enumerate(LAYERS) for name in names}
GROUND = {name for name, number in LAYER.items() if number == 0}  # the lowest layer, whose modules may import each other
TENSORFLOW = {"tensorflow", "keras", "tf_keras", "tensorflow_text", "tensorflow_hub"}


def imported(node, *, in_functions):
    """Dotted names that `node` imports; those inside functions and under TYPE_CHECKING only with `in_functions`."""
    is_deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "relative import: use an absolute one (from xlclass...)"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif in_functions or not is_deferred:
        for child in ast.iter_child_nodes(node):
            yield from imported(child, in_functions=in_functions)


def imports(module, *, in_functions=True):
    return list(imported(ast.parse(FILES[module].read_text(encoding="utf-8")), in_functions=in_functions))


def room(module):
    """The room or root module that a dotted name belongs to: xlclass.model.head.logits -> xlclass.model."""
    return ".".join(module.split(".")[:2])


def rooms_imported(module):
    """Rooms and root modules of xlclass that `module` imports, without its own and without the package itself."""
    return {room(name) for name in imports(module)} & {room(name) for name in FILES} - {room(module), "xlclass"}


def test_imports_go_down():
    upward = [
        (module, imported_room)
        for module in sorted(FILES)
        if room(module) in LAYER
        for imported_room in rooms_imported(module)
        if not (LAYER[imported_room] < LAYER[room(module)] or {imported_room, room(module)} <= GROUND)
    ]
    assert not upward
    assert not imports("xlclass")


def test_tensorflow_is_imported_inside_functions_only():
    assert not [module for module in FILES if {name.split(".")[0] for name in imports(module, in_functions=False)} & TENSORFLOW]


def test_model_and_ground_layer_do_not_import_spark():
    without_spark = [module for module in FILES if room(module) in GROUND | {"xlclass.model"}]
    assert not [module for module in without_spark if {name.split(".")[0] for name in imports(module)} & {"pyspark", "delta", "py4j"}]


def test_requirements_import_the_standard_library_only():
    """`python3 -m xlclass.runtime.requirements` checks a fresh machine, before any package is installed."""
    before = ("xlclass.errors", "xlclass.runtime.files", "xlclass.runtime.requirements")
    outside = [name for module in before for name in imports(module, in_functions=False) if name.split(".")[0] not in sys.stdlib_module_names]
    assert not [name for name in outside if not name.startswith(tuple(f"{module}." for module in before))]


def test_layers_name_every_room():
    assert set(LAYER) == {room(name) for name in FILES if name.startswith("xlclass.")}


def test_root_holds_config_errors_and_schemas_only():
    assert {name for name in FILES if name.count(".") == 1 and FILES[name].name != "__init__.py" and name.startswith("xlclass.")} == {
        "xlclass.config",
        "xlclass.errors",
        "xlclass.schemas",
    }
