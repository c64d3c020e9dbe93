"""Messages of refused calls, for a test that checks many of them at once."""

from collections.abc import Callable

from xlclass.errors import XlclassError


def message_of(call: Callable[..., object], *arguments: object) -> str:
    """The message of the XlclassError that `call(*arguments)` raises, "" if it raises none.

    >>> from xlclass.catalog.taxonomy import load_taxonomy
    >>> message_of(load_taxonomy, "none.toml")
    'taxonomy.file: there is no file none.toml'
    """
    try:
        call(*arguments)
    except XlclassError as error:
        return str(error)
    return ""
