"""`xlclass plan`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.config import EncoderSettings, load_settings
from xlclass.encoders.capacity import COST_PER_CORE_HOUR, SECONDS_PER_ROW, format_plan, parse_positive, parse_size, plan_capacity, worker_bytes


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the size of the machines and of the catalogue."""
    parser.add_argument("--conf", metavar="FILE", help="settings file with the encoder to plan for (default: the embedded encoder)")
    parser.add_argument("--cores", required=True, metavar="N", help="number of cores, all machines together")
    parser.add_argument("--memory", required=True, metavar="SIZE", help="memory for Spark, all machines together, such as 64g")
    parser.add_argument("--rows", required=True, metavar="N", help="number of videos to encode")
    parser.add_argument("--cost-per-core-hour", default=str(COST_PER_CORE_HOUR), metavar="COST", help="price in your currency (default: %(default)s)")
    parser.add_argument("--seconds-per-row", default=str(SECONDS_PER_ROW), metavar="S", help="seconds that one core takes for a video (default: %(default)s)")


def body(args: Namespace) -> None:
    """Prints workers, memory, time, cost and Spark's settings for them."""
    encoder = load_settings(args.conf).encoder if args.conf else EncoderSettings()
    plan = plan_capacity(
        int(parse_positive("--cores", args.cores, whole=True)),
        parse_size("--memory", args.memory),
        int(parse_positive("--rows", args.rows, whole=True)),
        parse_positive("--seconds-per-row", args.seconds_per_row, whole=False),
        parse_positive("--cost-per-core-hour", args.cost_per_core_hour, whole=False),
        worker_bytes(encoder),
    )
    print(format_plan(plan))
