"""Settings: what a file may say, and that everything else stops with the file and the key."""

import dataclasses
import typing
from pathlib import Path

import pytest

from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.config import Settings, load_settings, settings_digest
from xlclass.errors import SettingsError, XlclassError

ROOT = Path(__file__).parent.parent
LEAST = {"source": {"path": "catalogue.jsonl"}, "lake": {"path": "lake"}}


def toml(table):
    """`table` of tables as TOML; one level deep, numbers as Python writes them."""
    sections = []
    for name, keys in table.items():
        lines = [f"{key} = {value if isinstance(value, int | float) else _quoted(value)}" for key, value in keys.items()]
        sections.append("\n".join([f"[{name}]", *lines]))
    return "\n".join(sections) + "\n"


def _quoted(value):
    return "[" + ", ".join(map(_quoted, value)) + "]" if isinstance(value, list) else f'"{value}"' if isinstance(value, str) else str(value)


@pytest.fixture
def load(tmp_path):
    """Settings of the smallest file with `more` in it; text is taken as it is."""

    def make(more="", **sections):
        file = tmp_path / "system.toml"
        merged = {name: {**LEAST.get(name, {}), **sections.get(name, {})} for name in {**LEAST, **sections}}
        file.write_text(toml(merged) + more, encoding="utf-8")
        return load_settings(file)

    return make


def refused(load, *parts, **sections):
    """The message of the refusal, which names the file and all `parts`."""
    with pytest.raises(SettingsError) as caught:
        load(**sections)
    message = str(caught.value)
    for part in ("system.toml", *parts):
        assert part in message
    assert "\n" not in message
    return message


def limited_keys():
    """(section, key, low, high, type) of every key that has a range."""
    hints = typing.get_type_hints(Settings)
    for section in dataclasses.fields(Settings):
        if dataclasses.is_dataclass(hints[section.name]):
            kinds = typing.get_type_hints(hints[section.name])
            for key in dataclasses.fields(hints[section.name]):
                if "low" in key.metadata:
                    yield section.name, key.name, key.metadata["low"], key.metadata["high"], kinds[key.name]


def test_settings_error_ends_a_job_with_two():
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


def test_load_settings_names_a_file_that_is_not_there(tmp_path):
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


def test_load_settings_names_an_unknown_key_and_the_known_ones(load):
    message = refused(load, "source.pth", lake={"path": "lake"}, source={"pth": "x"})
    assert "delimiter" in message
    refused(load, "training.epochs", "max_epochs", training={"epochs": 3})
    refused(load, "source.columns.titel", **{"source.columns": {"titel": "x"}})


@pytest.mark.parametrize("section", ["sources", "file"])
def test_load_settings_names_an_unknown_section(load, section):
    refused(load, section, **{section: {"path": "x"}})


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("", "source"),
        ("[lake]\npath = 'x'", "source"),
        ("[source]\npath = 'x'", "lake"),
        ("[source]\nformat = 'csv'\n[lake]\npath = 'x'", "source.path"),
        ("[source]\npath = 'x'\n[lake]", "lake.path"),
    ],
)
def test_load_settings_names_a_missing_key(tmp_path, content, key):
    file = tmp_path / "system.toml"
    file.write_text(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert f"the key {key} is missing" in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "kind"),
    [
        ("source", "path", 3, "str"),
        ("training", "max_epochs", "ten", "int"),
        ("training", "max_epochs", 10.0, "int"),
        ("training", "dropout", "half", "float"),
        ("training", "seed", "7", "int"),
        ("training", "languages", "en", "list"),
        ("training", "hidden", 256, "list"),
    ],
)
def test_load_settings_names_a_mistyped_key(load, section, key, value, kind):
    refused(load, f"{section}.{key}", repr(value), kind, **{section: {key: value}})


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("training.max_epochs", "max_epochs = true"),  # Python's True is an int, a settings file's is not
        ("training.dropout", "dropout = false"),
        ("training.languages", "languages = ['en', 3]"),
        ("training.hidden", "hidden = [256, '128']"),
        ("training.hidden", "hidden = [256, 128.5]"),
        ("training.seed", "seed = 2026-01-01"),
        ("training.seed", "seed = {a = 1}"),
    ],
)
def test_load_settings_takes_no_cousin_of_a_type(load, key, line):
    refused(lambda: load(f"[training]\n{line}\n"), key)


def test_load_settings_names_a_section_that_is_no_table(tmp_path):
    file = tmp_path / "system.toml"
    file.write_text("source = 'demo'\n[lake]\npath = 'x'\n")
    with pytest.raises(SettingsError, match=r"system\.toml: source must be a table"):
        load_settings(file)


@pytest.mark.parametrize(("section", "key", "low", "high", "kind"), list(limited_keys()), ids=lambda value: str(value) if isinstance(value, str) else "")
def test_load_settings_holds_every_range(load, section, key, low, high, kind):
    step = 1e-7 if kind is float else 1
    given = (lambda value: value) if kind in (int, float) else (lambda value: [value])  # a list holds its range item by item
    shares = {"train": 0, "validation": 0, "calibration": 0} if section == "split" else {}
    for inside in (low, high):
        assert getattr(getattr(load(**{section: {**shares, key: given(inside)}}), section), key) in (inside, (inside,))
    for outside in (low - step, high + step):
        refused(load, f"{section}.{key} must be between", repr(outside), **{section: {**shares, key: given(outside)}})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_load_settings_takes_no_number_that_is_none(load, value):
    refused(lambda: load(f"[training]\ndropout = {value}\n"), "training.dropout")


@pytest.mark.parametrize("hidden", [[], [0], [256, -1]])
def test_load_settings_refuses_a_head_without_width(load, hidden):
    refused(load, "training.hidden", training={"hidden": hidden})


@pytest.mark.parametrize(
    ("section", "key", "choice", "known"),
    [
        ("source", "format", "xml", "auto, delta, parquet, json, csv, table"),
        ("calibration", "prior_shift", "Auto", "auto, never"),
    ],
)
def test_load_settings_names_the_choices(load, section, key, choice, known):
    refused(load, f"{section}.{key} must be one of {known}", repr(choice), **{section: {key: choice}})


def test_load_settings_makes_tuples_of_lists(load):
    settings = load(training={"languages": ["de"], "hidden": [64, 32, 16]}, encoder={"languages": []})
    assert settings.training.languages == ("de",)
    assert settings.training.hidden == (64, 32, 16)
    assert settings.encoder.languages == ()


def test_load_settings_takes_a_whole_number_for_a_float(load):
    precision = load(thresholds={"precision": 1}).thresholds.precision
    assert precision == 1.0
    assert type(precision) is float


def test_load_settings_refuses_shares_over_one(load):
    refused(load, "split", "more than 1", split={"train": 0.8, "validation": 0.2, "calibration": 0.1})
    refused(load, "split", split={"train": 1.0})  # with the other two at their defaults


@pytest.mark.parametrize("shares", [(0.5, 0.25, 0.25), (1.0, 0.0, 0.0), (0.56, 0.33, 0.11)])
def test_load_settings_takes_shares_that_add_up_to_one(load, shares):
    """The last add up to 1.0000000000000002 in floating point."""
    load(split=dict(zip(("train", "validation", "calibration"), shares, strict=True)))


def test_load_settings_refuses_no_training_language(load):
    refused(load, "training.languages", training={"languages": []})


def test_resolve_starts_from_the_files_folder(load, tmp_path, monkeypatch):
    settings = load()
    monkeypatch.chdir("/")
    assert settings.resolve("lake") == str(tmp_path / "lake")
    assert settings.resolve("../lake") == str(tmp_path.parent / "lake")
    assert settings.resolve("./a/b.toml") == str(tmp_path / "a" / "b.toml")


def test_resolve_holds_for_a_file_that_was_given_from_the_working_directory(load, tmp_path, monkeypatch):
    load()
    monkeypatch.chdir(tmp_path)
    settings = load_settings("system.toml")
    monkeypatch.chdir("/")
    assert settings.resolve("lake") == str(tmp_path / "lake")


def test_resolve_leaves_urls_and_absolute_paths(load, monkeypatch):
    settings = load()
    monkeypatch.setenv("HOME", "/home/someone")
    assert settings.resolve("s3a://bucket//lake/../x") == "s3a://bucket//lake/../x"
    assert settings.resolve("/data/lake") == "/data/lake"
    assert settings.resolve("~/lake") == "/home/someone/lake"


def test_settings_digest_names_the_contents(load):
    one, same, other = load().training, load().training, load(training={"seed": 8}).training
    assert settings_digest(one) == settings_digest(same)
    assert settings_digest(one) != settings_digest(other)
    assert settings_digest(one, "a") != settings_digest(one, "b")
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1})
    assert settings_digest("a", "b") != settings_digest("ab")
    assert set(settings_digest(one)) <= set("0123456789abcdef")
    assert len(settings_digest(one)) == 16
