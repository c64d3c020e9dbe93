"""`xlclass plan`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.config import EncoderSettings, load_settings
from xlclass.encoders.capacity import COST_PER_CORE_HOUR, SECONDS_PER_ROW, format_plan, parse_positive, parse_size, plan_capacity, worker_bytes


def arguments(parser: ArgumentParser) -> None:
    """The machines and the catalogue."""
    parser.add_argument("--conf", metavar="FILE", help="settings file whose encoder to plan for, such as conf/local.toml")
    parser.add_argument("--cores", required=True, metavar="N", help="cores of all machines together")
    parser.add_argument("--memory", required=True, metavar="SIZE", help="memory that Spark may use on all machines together, such as 64g")
    parser.add_argument("--rows", required=True, metavar="N", help="videos to encode")
    parser.add_argument("--cost-per-core-hour", default=str(COST_PER_CORE_HOUR), metavar="COST", help="in your currency; %(default)s unless given")
    parser.add_argument("--seconds-per-row", default=str(SECONDS_PER_ROW), metavar="S", help="of one core, as measured on yours; %(default)s unless given")


def body(given: Namespace) -> None:
    """Prints the plan."""
    encoder = load_settings(given.conf).encoder if given.conf else EncoderSettings()
    plan = plan_capacity(
        int(parse_positive("--cores", given.cores, whole=True)),
        parse_size("--memory", given.memory),
        int(parse_positive("--rows", given.rows, whole=True)),
        parse_positive("--seconds-per-row", given.seconds_per_row, whole=False),
        parse_positive("--cost-per-core-hour", given.cost_per_core_hour, whole=False),
        worker_bytes(encoder),
    )
    print(format_plan(plan))
