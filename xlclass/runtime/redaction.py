"""Removes secrets from text that is stored or shown: logs, error messages, `runs`, plans."""

from __future__ import annotations

import re
from typing import Any

_USER = re.compile(r"""(://)[^\s/:@"']+:(?!\d+(?:/|$|\s))[^\s@"']*@(?:[^\s/@"']+@)*""")  # not the port of host:8020/
_PARAMETER = re.compile(r"""(?i)([?&;][\w.-]*(?:sig|token|key|secret|passw|pwd|credential|auth)[\w.-]*=)[^\s&;"'#]+""")
_ASSIGNED = re.compile(r"""(?i)\b([\w.-]*(?:password|passwd|secret|account\.key)[\w.-]*\s*=\s*)[^\s&;,"'*]+""")


def redacted(text: str) -> str:
    """`text` with *** in place of a URL's user and password, of query parameters with a name like a secret's, and of `password=...`.

    >>> redacted("cannot read https://ann:s3cr3t@host.example/videos?page=2&sig=AbC%2F1 as parquet")
    'cannot read https://***@host.example/videos?page=2&sig=*** as parquet'
    >>> redacted("hdfs://host.example:8020/a@b, abfss://container@account.example/videos")
    'hdfs://host.example:8020/a@b, abfss://container@account.example/videos'
    """
    return _ASSIGNED.sub(r"\1***", _PARAMETER.sub(r"\1***", _USER.sub(r"\1***@", text)))


def redacted_within(value: Any) -> Any:
    """`value` with every string in it `redacted`, also inside dictionaries, lists and tuples.

    >>> redacted_within({"source": {"path": "https://ann:pw@host.example/v", "limits": (1, "x")}})
    {'source': {'path': 'https://***@host.example/v', 'limits': (1, 'x')}}
    """
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: redacted_within(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(redacted_within, value))
    return value
