"""Settings: what a file may contain; anything else is refused with the file and the key."""

import dataclasses
import typing
from pathlib import Path

import pytest
from refusals import message_of

from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.config import Settings, lake_from_argument, lake_root, load_settings, settings_digest
from xlclass.errors import SettingsError, XlclassError

ROOT = Path(__file__).parent.parent
SMALLEST = {"source": {"path": "catalogue.jsonl"}, "lake": {"path": "lake"}}


def toml(tables):
    """Tables by name as TOML; one level deep, numbers as Python writes them."""
    sections = []
    for name, keys in tables.items():
        lines = [f"{key} = {value if isinstance(value, int | float) else _quoted(value)}" for key, value in keys.items()]
        sections.append("\n".join([f"[{name}]", *lines]))
    return "\n".join(sections) + "\n"


def _quoted(value):
    return "[" + ", ".join(map(_quoted, value)) + "]" if isinstance(value, list) else f'"{value}"' if isinstance(value, str) else str(value)


@pytest.fixture
def load(tmp_path):
    """Loads the smallest settings file with `sections` merged into it and `appended`, TOML as text, at its end."""

    def load_file(appended="", **sections):
        file = tmp_path / "system.toml"
        merged = {name: {**SMALLEST.get(name, {}), **sections.get(name, {})} for name in {**SMALLEST, **sections}}
        file.write_text(toml(merged) + appended, encoding="utf-8")
        return load_settings(file)

    return load_file


def problem(load, *expected, **sections):
    """Empty if the settings are refused in one line that names the file and all `expected`; else `expected` and the message in a list."""
    try:
        load(**sections)
    except SettingsError as error:
        message = str(error)
        return [] if all(part in message for part in ("system.toml", *expected)) and "\n" not in message else [(expected, message)]
    return [(expected, "accepted")]


def limited_keys():
    """(section, key, low, high, type) of every key that has a range."""
    hints = typing.get_type_hints(Settings)
    for section in dataclasses.fields(Settings):
        if dataclasses.is_dataclass(hints[section.name]):
            kinds = typing.get_type_hints(hints[section.name])
            for key in dataclasses.fields(hints[section.name]):
                if "low" in key.metadata:
                    yield section.name, key.name, key.metadata["low"], key.metadata["high"], kinds[key.name]


def test_settings_error_has_exit_code_2():
    assert SettingsError.exit_code == 2
    assert issubclass(SettingsError, XlclassError)


@pytest.mark.parametrize("name", ["local.toml", "youtube.toml"])
def test_load_settings_reads_the_files_of_the_repository(name):
    settings = load_settings(ROOT / "conf" / name)
    assert settings.file == ROOT / "conf" / name
    load_taxonomy(settings.resolve(settings.taxonomy.file))


def test_load_settings_fills_in_the_defaults(load):
    training = load().training
    assert training.languages == ("en", "fr")
    assert training.hidden == (256, 128)
    assert training.dropout == 0.5


def test_load_settings_names_a_missing_file(tmp_path):
    with pytest.raises(SettingsError, match=r"no settings file .*absent\.toml.*--conf"):
        load_settings(tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"[source", b"path = 'a'\npath = 'b'", b"\xff\xfe", b"a = "])
def test_load_settings_names_a_file_that_is_not_toml(tmp_path, content):
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"broken\.toml cannot be read as TOML"):
        load_settings(file)


def test_load_settings_names_a_folder(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path)


def test_load_settings_names_unknown_keys_and_sections(load):
    assert [
        *problem(load, "source.pth", "delimiter", lake={"path": "lake"}, source={"pth": "x"}),  # delimiter: one of the known keys
        *problem(load, "training.epochs", "max_epochs", training={"epochs": 3}),
        *problem(load, "source.columns.titel", **{"source.columns": {"titel": "x"}}),
        *problem(load, "sources", sources={"path": "x"}),
        *problem(load, "file", file={"path": "x"}),
    ] == []


def test_load_settings_names_a_missing_key(tmp_path):
    file = tmp_path / "system.toml"
    messages = {}
    for content, key in (
        ("", "source"),
        ("[lake]\npath = 'x'", "source"),
        ("[source]\npath = 'x'", "lake"),
        ("[source]\nformat = 'csv'\n[lake]\npath = 'x'", "source.path"),
        ("[source]\npath = 'x'\n[lake]", "lake.path"),
    ):
        file.write_text(content)
        with pytest.raises(SettingsError) as caught:
            load_settings(file)
        messages[content] = (str(caught.value), f"{file}: the key {key} is missing")
    assert [content for content, (message, expected) in messages.items() if expected not in message] == []


def test_load_settings_names_a_key_of_the_wrong_type(load):
    problems = []
    for section, key, value, kind in (
        ("source", "path", 3, "str"),
        ("training", "max_epochs", "ten", "int"),
        ("training", "max_epochs", 10.0, "int"),
        ("training", "dropout", "half", "float"),
        ("training", "seed", "7", "int"),
        ("training", "languages", "en", "list"),
        ("training", "hidden", 256, "list"),
    ):
        problems += problem(load, f"{section}.{key}", repr(value), kind, **{section: {key: value}})
    assert problems == []


def test_load_settings_refuses_similar_types(load):
    problems = []
    for key, line in (
        ("training.max_epochs", "max_epochs = true"),  # in Python a bool is an int; in a settings file it is not
        ("training.dropout", "dropout = false"),
        ("training.languages", "languages = ['en', 3]"),
        ("training.hidden", "hidden = [256, '128']"),
        ("training.hidden", "hidden = [256, 128.5]"),
        ("training.seed", "seed = 2026-01-01"),
        ("training.seed", "seed = {a = 1}"),
    ):
        problems += problem(load, key, appended=f"[training]\n{line}\n")
    assert problems == []


def test_load_settings_names_a_section_that_is_not_a_table(tmp_path):
    file = tmp_path / "system.toml"
    file.write_text("source = 'demo'\n[lake]\npath = 'x'\n")
    with pytest.raises(SettingsError, match=r"system\.toml: source must be a table"):
        load_settings(file)


def test_load_settings_enforces_every_range(load):
    problems, num_keys = [], 0
    for section, key, low, high, kind in limited_keys():
        num_keys += 1
        step = 1e-7 if kind is float else 1
        is_list = kind not in (int, float)  # the range of a list holds for every item
        shares = {"train": 0, "validation": 0, "calibration": 0} if section == "split" else {}
        for inside in (low, high):
            loaded = getattr(getattr(load(**{section: {**shares, key: [inside] if is_list else inside}}), section), key)
            problems += [] if loaded == ((inside,) if is_list else inside) else [(section, key, inside, loaded)]
        for outside in (low - step, high + step):
            values = {**shares, key: [outside] if is_list else outside}
            problems += problem(load, f"{section}.{key} must be between", repr(outside), **{section: values})
    assert problems == []
    assert num_keys > 20


def test_load_settings_refuses_nan_and_infinity(load):
    assert [found for value in ("nan", "inf", "-inf") for found in problem(load, "training.dropout", appended=f"[training]\ndropout = {value}\n")] == []


def test_load_settings_refuses_a_head_without_width(load):
    assert [found for hidden in ([], [0], [256, -1]) for found in problem(load, "training.hidden", training={"hidden": hidden})] == []


def test_load_settings_names_the_choices(load):
    choices = "source.format must be one of auto, delta, parquet, json, csv, table"
    assert problem(load, choices, "'xml'", source={"format": "xml"}) == []
    assert problem(load, "encoder.precision must be one of float32, bfloat16", "'Float32'", encoder={"precision": "Float32"}) == []
    assert problem(load, "calibration.prior_shift must be one of auto, never", "'Auto'", calibration={"prior_shift": "Auto"}) == []


def test_load_settings_makes_tuples_of_lists(load):
    settings = load(training={"languages": ["de"], "hidden": [64, 32, 16]}, encoder={"languages": []})
    assert settings.training.languages == ("de",)
    assert settings.training.hidden == (64, 32, 16)
    assert settings.encoder.languages == ()


def test_load_settings_accepts_a_whole_number_for_a_float(load):
    share = load(backfill={"max_deleted_share": 1}).backfill.max_deleted_share
    assert share == 1.0
    assert type(share) is float


def test_load_settings_refuses_shares_that_exceed_1(load):
    assert problem(load, "split", "more than 1", split={"train": 0.8, "validation": 0.2, "calibration": 0.1}) == []
    assert problem(load, "split", split={"train": 1.0}) == []  # with the other two at their defaults


@pytest.mark.parametrize("shares", [(0.5, 0.25, 0.25), (1.0, 0.0, 0.0), (0.56, 0.33, 0.11)])
def test_load_settings_accepts_shares_that_add_up_to_1(load, shares):
    """The last ones add up to 1.0000000000000002 in floating point."""
    load(split=dict(zip(("train", "validation", "calibration"), shares, strict=True)))


def test_load_settings_refuses_unusable_training_languages(load):
    assert problem(load, "training.languages is empty", training={"languages": []}) == []
    assert problem(load, "training.languages", "'en-GB' is not a base language", training={"languages": ["en-GB"]}) == []


def test_resolve_starts_at_the_folder_of_the_file(load, tmp_path, monkeypatch):
    settings = load()
    monkeypatch.chdir("/")
    assert settings.resolve("lake") == str(tmp_path / "lake")
    assert settings.resolve("../lake") == str(tmp_path.parent / "lake")
    assert settings.resolve("./a/b.toml") == str(tmp_path / "a" / "b.toml")


def test_resolve_works_for_a_file_with_a_relative_path(load, tmp_path, monkeypatch):
    load()
    monkeypatch.chdir(tmp_path)
    settings = load_settings("system.toml")
    monkeypatch.chdir("/")
    assert settings.resolve("lake") == str(tmp_path / "lake")


def test_resolve_keeps_urls_and_absolute_paths(load, monkeypatch):
    settings = load()
    monkeypatch.setenv("HOME", "/home/someone")
    assert settings.resolve("s3a://bucket//lake/../x") == "s3a://bucket//lake/../x"
    assert settings.resolve("/data/lake") == "/data/lake"
    assert settings.resolve("~/lake") == "/home/someone/lake"


def test_settings_digest_depends_on_the_contents_only(load):
    training, equal, different = load().training, load().training, load(training={"seed": 8}).training
    assert settings_digest(training) == settings_digest(equal)
    assert settings_digest(training) != settings_digest(different)
    assert settings_digest(training, "a") != settings_digest(training, "b")
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1})
    assert settings_digest("a", "b") != settings_digest("ab")
    assert set(settings_digest(training)) <= set("0123456789abcdef")
    assert len(settings_digest(training)) == 16


def test_load_settings_reads_a_file_with_a_byte_order_mark(tmp_path):
    (tmp_path / "system.toml").write_text(toml(SMALLEST), encoding="utf-8-sig")
    assert load_settings(tmp_path / "system.toml").source.path == "catalogue.jsonl"


def test_load_settings_refuses_separators_and_encodings_that_cannot_be(load):
    assert problem(load, "source.delimiter is empty", source={"delimiter": ""}) == []
    assert problem(load, "source.separator must be one character", source={"separator": "||"}) == []
    assert problem(load, "source.encoding: there is no encoding utf-9", source={"encoding": "utf-9"}) == []


def test_lake_root_refuses_what_is_no_folder_for_spark(load):
    assert lake_root(load(lake={"path": "a lake 100% é"}), None).endswith("/a lake 100% é")
    for path, words in [("s3a://bucket/lake", "is a URL"), ("lake [1]", "which Spark reads as a pattern")]:
        assert words in message_of(lake_root, load(lake={"path": path}), None)
        assert words in message_of(lake_from_argument, path)
