"""`xlclass plan`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.config import EncoderSettings, load_settings
from xlclass.encoders.capacity import (
    COST_PER_CORE_HOUR,
    SECOND_SHARE,
    SECONDS_PER_ROW,
    SECONDS_PER_ROW_E5,
    format_plan,
    parse_positive,
    parse_size,
    plan_capacity,
    second_share,
    seconds_per_row,
    worker_bytes,
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the size of the machines and of the catalogue."""
    parser.add_argument("--conf", metavar="FILE", help="settings file with the encoder to plan for (default: the embedded encoders)")
    parser.add_argument("--cores", required=True, metavar="N", help="number of cores, all machines together")
    parser.add_argument("--memory", required=True, metavar="SIZE", help="memory for Spark, all machines together, such as 64g")
    parser.add_argument("--rows", required=True, metavar="N", help="number of videos to encode")
    parser.add_argument("--cost-per-core-hour", default=str(COST_PER_CORE_HOUR), metavar="COST", help="price in your currency (default: %(default)s)")
    parser.add_argument("--languages", metavar="SHARES", help="weight of each language, such as en=60,cs=30 (default: a tenth is outside MUSE's languages)")
    parser.add_argument("--seconds-per-row", metavar="S", help="seconds that one core takes for a video (default: as measured, by the languages)")


def body(args: Namespace) -> None:
    """Prints workers, memory, time, cost and Spark's settings for them."""
    encoder = load_settings(args.conf).encoder if args.conf else EncoderSettings()
    share = second_share(args.languages) if args.languages else SECOND_SHARE
    given = args.seconds_per_row
    plan = plan_capacity(
        int(parse_positive("--cores", args.cores, whole=True)),
        parse_size("--memory", args.memory),
        int(parse_positive("--rows", args.rows, whole=True)),
        parse_positive("--seconds-per-row", given, whole=False) if given else seconds_per_row(encoder, share),
        parse_positive("--cost-per-core-hour", args.cost_per_core_hour, whole=False),
        worker_bytes(encoder),
    )
    print(format_plan(plan))
    if not given and encoder.model == "embedded" and encoder.extension == "e5":
        slower = f"{SECONDS_PER_ROW_E5 / SECONDS_PER_ROW:.0f} times as slowly"
        print(f"\nreckoned with {share:.0%} of the videos in languages that MUSE does not know (--languages): e5 encodes them, {slower}")
