"""`xlclass models`: the model versions of a lake, without Spark."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from xlclass.cli.commands import lake_arguments, lake_of, settings_of
from xlclass.config import GateSettings
from xlclass.errors import ModelError
from xlclass.runtime.terminal import format_table, printable

if TYPE_CHECKING:
    from xlclass.lake.registry import Event, Registry
    from xlclass.quality.gate import Change, Group

_EVENTS = ("event", "when (UTC)", "model version", "became", "metrics, or why")
_GROUPS = ("", "videos", "top-1", "", "change", "interval", "ECE", "", "coverage", "")
_NEXT = "next: spark-submit jobs/backfill.py replaces the predictions of {}, jobs/evaluate.py then scores the champion and renews latest_*"


def arguments(parser: ArgumentParser) -> None:
    """What to do, and with which version."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    added = {}
    for name, (action, help_text, names) in _ACTIONS.items():
        added[name] = actions.add_parser(name, help=help_text, description=help_text)
        lake_arguments(added[name])
        added[name].set_defaults(action=action)
        for argument in names:
            added[name].add_argument(argument, metavar=argument.upper(), help="a model version of `xlclass models list`")
    added["promote"].add_argument("--force", metavar="REASON", help="pass the gate by; the reason is kept with the event")
    added["rollback"].add_argument("--reason", metavar="REASON", help="kept with the event")


def body(given: Namespace) -> None:
    """Does it; what the gate refuses is raised."""
    from xlclass.lake.registry import Registry

    given.action(Registry(lake_of(given)), given)


def _list(registry: Registry, _: Namespace) -> None:
    print(_events(registry.history().events, most=120))


def _show(registry: Registry, given: Namespace) -> None:
    history = registry.history()
    newest, version = history.require(given.name), registry.version(history, given.name)
    serves = history.champion is not None and history.champion.model_version == given.name
    about = [("model version", f"{given.name}, {newest.event}{', serves' if serves else ''}"), ("folder", f"{version.folder} (sha256 {version.digest[:16]})")]
    manifest = version.manifest()
    sides = ", ".join(f"{number:,} {side}" for side, number in manifest["num_videos"].items())
    about += [
        ("categories", ", ".join(manifest["categories"])),
        ("trained on", f"{', '.join(manifest['languages'])}: {sides}; seed {newest.seed}; {_numbers(newest.versions_read)} (Delta versions)"),
        ("encoder", f"{manifest['encoder_id'][:16]}, {manifest['dim']} numbers a text; preparation {manifest['preparation_version']}"),
        ("code", f"xlclass {manifest['code_version']}"),
    ]
    print("\n".join(f"{name:<15}{printable(text, limit=1_000)}" for name, text in about))
    print("\n" + _events([event for event in history.events if event.model_version == given.name], most=1_000))


def _compare(registry: Registry, given: Namespace) -> None:
    from xlclass.training.promotion import compare

    history = registry.history()
    verdict = compare(registry.root, registry.version(history, given.a), registry.version(history, given.b), _gate(given))
    if verdict.groups:
        print(f"of each pair {printable(given.a)} first, then {printable(given.b)}\n")
        print(format_table(_GROUPS, [_group_row(group) for group in verdict.groups]) + "\n")
    print(f"{printable(given.b)} in the place of {printable(given.a)}: {verdict.sentence}")


def _promote(registry: Registry, given: Namespace) -> None:
    from xlclass.training.promotion import promote

    accepted, sentence = promote(registry, registry.history(), given.name, _gate(given), force=given.force)
    if not accepted:
        raise ModelError(f"model version {given.name} was not promoted: {sentence}; --force REASON passes the gate by")
    print(f"model version {given.name} is the champion now: {printable(sentence, limit=2_000)}\n{_NEXT.format('the one before')}")


def _rollback(registry: Registry, given: Namespace) -> None:
    from xlclass.lake.registry import BY_HAND

    history = registry.history()
    if history.champion is None or history.former is None:
        raise ModelError(f"the lake {registry.root} has no champion before the present one: name one with xlclass models promote")
    left = history.champion.model_version
    registry.make_champion(history, history.former, BY_HAND, f"rolled back from {left}{f': {given.reason}' if given.reason else ''}")
    print(f"model version {history.former} is the champion again, {left} is retired\n{_NEXT.format(left)}")


def _gate(given: Namespace) -> GateSettings:
    """The gate's settings: of the settings file, or the defaults where only a lake is named."""
    return GateSettings() if given.lake and not given.conf else settings_of(given).gate


def _events(events: tuple[Event, ...] | list[Event], most: int) -> str:
    """Newest first; `most` characters of each reason."""
    rows = [(str(e.event_number), f"{e.happened_at:%Y-%m-%d %H:%M}", printable(e.model_version), e.event, _said(e, most)) for e in reversed(events)]
    return format_table(_EVENTS, rows, right=("event",))


def _said(event: Event, most: int) -> str:
    """What training measured, of a candidate; else the reason."""
    return _numbers(event.metrics) if event.event == "candidate" else printable(event.reason or "", most)


def _numbers(values: dict[str, int] | dict[str, float]) -> str:
    return ", ".join(f"{printable(name)} {value:.4g}" for name, value in sorted(values.items()))


def _group_row(group: Group) -> tuple[str, ...]:
    low, high = group.accuracy.interval
    change = (f"{group.accuracy.amount:+.3f}", f"{low:+.3f} to {high:+.3f}")
    return (printable(group.name), f"{group.num_videos:,}", *_pair(group.accuracy), *change, *_pair(group.calibration), *_pair(group.coverage))


def _pair(change: Change | None) -> tuple[str, str]:
    return (f"{change.champion:.3f}", f"{change.challenger:.3f}") if change else ("-", "-")


_ACTIONS = {
    "list": (_list, "the events in the life of all model versions, newest first", ()),
    "show": (_show, "one model version: what it was trained on, and its events", ("name",)),
    "compare": (_compare, "two model versions on the same labelled test videos, and whether B may replace A", ("a", "b")),
    "promote": (_promote, "make a version the champion if it passes the gate (settings: [gate])", ("name",)),
    "rollback": (_rollback, "make the champion before the present one the champion again", ()),
}
