"""`xlclass models`: the model versions of a lake, without Spark."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xlclass.cli.commands import add_lake_arguments, lake_of, settings_of
from xlclass.config import GateSettings
from xlclass.errors import ModelError
from xlclass.runtime.terminal import format_table, printable

if TYPE_CHECKING:
    from xlclass.lake.model_events import Event
    from xlclass.lake.registry import Registry
    from xlclass.quality.gate import Change, Group

_EVENTS = ("event", "when (UTC)", "model version", "became", "metrics or reason")
_GROUPS = ("", "videos", "top-1 A", "top-1 B", "B minus A", "interval", "ECE A", "ECE B", "coverage A", "coverage B")
_NEXT = "next: run jobs/backfill.py to replace the predictions of {}, then jobs/evaluate.py to score the champion and update the tables latest_*"


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the actions and their arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    parsers = {}
    for name, (action, help_text, positionals) in _ACTIONS.items():
        parsers[name] = actions.add_parser(name, help=help_text, description=help_text)
        add_lake_arguments(parsers[name])
        parsers[name].set_defaults(action=action)
        for argument, argument_help in positionals.items():
            parsers[name].add_argument(argument, metavar=argument.upper(), help=argument_help)
    parsers["promote"].add_argument("--force", metavar="REASON", help="promote without asking the gate; REASON is stored with the event")
    parsers["rollback"].add_argument("--reason", metavar="REASON", help="stored with the event")


def body(args: Namespace) -> None:
    """Runs the action.

    Raises:
        ModelError: the gate refuses a promotion, or a model version is missing or damaged.
    """
    from xlclass.lake.registry import Registry

    args.action(Registry(lake_of(args)), args)


def _list(registry: Registry, _: Namespace) -> None:
    events = registry.history().events
    print(_events_table(events, limit=120) if events else f"the lake {registry.root} has no model versions: run jobs/pipeline.py or jobs/train.py")


def _show(registry: Registry, args: Namespace) -> None:
    history = registry.history()
    newest, version = history.newest_event(args.name), registry.version(history, args.name)
    manifest = version.manifest()
    splits = ", ".join(f"{num_videos:,} {split}" for split, num_videos in manifest["num_videos"].items())
    facts = [
        ("model version", f"{args.name}, {newest.event}"),
        ("folder", f"{version.folder} (sha256 {version.digest[:16]})"),
        ("categories", ", ".join(manifest["categories"])),
        ("trained on", f"{', '.join(manifest['languages'])}: {splits}; seed {newest.seed}"),
        ("tables read", f"{_numbers(newest.versions_read)} (Delta versions)"),
        ("encoder", f"{manifest['encoder_id'][:16]}, vectors of {manifest['dim']} numbers; text preparation {manifest['preparation_version']}"),
        ("code", f"xlclass {manifest['code_version']}"),
    ]
    print("\n".join(f"{name:<15}{printable(text, limit=1_000)}" for name, text in facts))
    print("\n" + _events_table([event for event in history.events if event.model_version == args.name], limit=1_000))


def _compare(registry: Registry, args: Namespace) -> None:
    from xlclass.training.promotion import compare

    history = registry.history()
    verdict = compare(registry.root, registry.version(history, args.a), registry.version(history, args.b), _gate(args))
    if verdict.groups:
        print(f"A is {printable(args.a)}, B is {printable(args.b)}\n")
        print(format_table(_GROUPS, [_group_row(group) for group in verdict.groups]) + "\n")
    print(f"replacing {printable(args.a)} by {printable(args.b)}: {verdict.sentence}")


def _promote(registry: Registry, args: Namespace) -> None:
    from xlclass.training.promotion import promote

    accepted, sentence = promote(registry, registry.history(), args.name, _gate(args), force=args.force)
    if not accepted:
        raise ModelError(f"model version {args.name} was not promoted: {sentence}; to promote it anyway, add --force REASON")
    print(f"model version {args.name} is the champion now: {printable(sentence, limit=2_000)}\n{_NEXT.format('the previous champion')}")


def _rollback(registry: Registry, args: Namespace) -> None:
    from xlclass.lake.model_events import BY_HAND

    history = registry.history()
    if history.champion is None or history.previous_champion is None:
        raise ModelError(f"the lake {registry.root} has no earlier champion to roll back to: choose a version with xlclass models promote")
    retired = history.champion.model_version
    registry.make_champion(history, history.previous_champion, BY_HAND, f"rolled back from {retired}{f': {args.reason}' if args.reason else ''}")
    print(f"model version {history.previous_champion} is the champion again, {retired} is retired\n{_NEXT.format(retired)}")


def _gate(args: Namespace) -> GateSettings:
    """The gate's settings from the settings file; the defaults if only `--lake` is given."""
    return GateSettings() if args.lake and not args.conf else settings_of(args).gate


def _events_table(events: Sequence[Event], limit: int) -> str:
    """The events, newest first, with at most `limit` characters of each reason."""
    rows = [
        (str(e.event_number), f"{e.happened_at:%Y-%m-%d %H:%M}", printable(e.model_version), e.event, _metrics_or_reason(e, limit)) for e in reversed(events)
    ]
    return format_table(_EVENTS, rows, right=("event",))


def _metrics_or_reason(event: Event, limit: int) -> str:
    return _numbers(event.metrics) if event.event == "candidate" else printable(event.reason or "", limit)


def _numbers(values: dict[str, int] | dict[str, float]) -> str:
    return ", ".join(f"{printable(name)} {value:.4g}" for name, value in sorted(values.items()))


def _group_row(group: Group) -> tuple[str, ...]:
    low, high = group.accuracy.interval
    change = (f"{group.accuracy.amount:+.3f}", f"{low:+.3f} to {high:+.3f}")
    return (printable(group.name), f"{group.num_videos:,}", *_pair(group.accuracy), *change, *_pair(group.calibration), *_pair(group.coverage))


def _pair(change: Change | None) -> tuple[str, str]:
    return (f"{change.champion:.3f}", f"{change.challenger:.3f}") if change else ("-", "-")


_ACTIONS = {
    "list": (_list, "list the events of all model versions (candidate, champion, retired), newest first", {}),
    "show": (_show, "show training data, encoder and events of a model version", {"name": "name of a model version; see `xlclass models list`"}),
    "compare": (
        _compare,
        "compare two model versions on the same labelled test videos: may B replace A?",
        {"a": "name of a model version, usually the champion", "b": "name of the model version that may replace it"},
    ),
    "promote": (
        _promote,
        "make a model version the champion if it passes the gate: it must not score clearly worse than the present champion",
        {"name": "name of the model version; see `xlclass models list`"},
    ),
    "rollback": (_rollback, "make the previous champion the champion again", {}),
}
