"""Removes secrets from text that is stored or shown: messages, logs, standard output, `runs`, plans.

Three passes: the user part and the port of URLs, parameters of URLs (`?sig=...`), and assignments (`password=...`).

Why a scanner and not a pattern for URLs: a password that is not percent-encoded may contain `@ : / ? #` or quotes, so the first `@` or `/`
need not end it. The scanner takes a URL's text apart, and asks which `@` is followed by a host. Where two readings are possible, it
hides more rather than less. Every quantifier that can fail is bounded, so the cost grows with the length of the text only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "***"
_LONGEST = 4_000  # characters of a URL's user part
_REACH = 300  # characters in which the end of a malformed or quoted secret is looked for
_CLOSERS = "\"'`)]}>,.;:"  # end a sentence, a quotation or a list, not a secret
_NO_VALUES = ("null", "none", "true", "false")
_AFTER_QUOTE = r"(?=[\s,;:.)\]}>&]|$)"  # what follows a quote that ends a quotation; a quote before another character belongs to the secret

_SLASHES = re.compile(r":(?:\\{0,3}/)+")  # also the `:\/\/` of some JSON
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}$")  # at least two letters: c:/ is a drive
_DELIMITER = re.compile(r"[\s/?#\"'`<>,;|()\[\]{}]")
_QUOTE = re.compile(rf"[\"'`]{_AFTER_QUOTE}")
_AUTHORITY = re.compile(r"(?:[^/?#;\\]|;(?!\w{1,40}=)|\\(?!/))*")
_PORT = r"(?::(?:[0-5]?\d{1,4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]))"  # 0 to 65535
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[\w.~*%-]+)"
_HOSTS = re.compile(rf"{_HOST}{_PORT}?(?:,{_HOST}{_PORT}?)*$")
_CERTAIN_HOST = re.compile(rf"(?:\[[0-9A-Fa-f:.]+\]|localhost|[\w-]+(?:\.[\w-]+)+){_PORT}?(?=[/?#;,\\\"'`)\]}}]|$)|[\w-]+{_PORT}(?=[/?#\"'`]|$)")
_NO_LOGIN = ("hdfs", "viewfs", "webhdfs", "swebhdfs", "file", "dbfs")  # after host:port their paths may contain @
_CONTAINERS = ("wasb", "wasbs", "abfs", "abfss")  # container@account is a place
_BUCKETS = ("s3", "s3a", "s3n", "gs", "oss", "obs", "cosn")  # have no port, and no @ in their secrets
_ORACLE = re.compile(rf"(jdbc:oracle:\w{{1,10}}:)\S{{1,{_REACH}}}@")
_ENCODED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}%(?:25){0,2}3[aA](?:%(?:25){0,2}2[fF]){2}[^\s&;\"'`<>#]*")
_ENCODED_SLASHES = re.compile(r"%(?:25){0,2}3[aA]%")

# The names of secrets, in lower case. Every alternative starts with a letter, which lets Python's search skip what starts otherwise.
_NAMES = (
    r"passw(?:or)?d|passwd|passphrase|pass(?<=\bpass)\b|pwd|secret|credential|authorization|signature|token(?!s|i[sz])|sig(?<=\bsig)\b"
    r"|api[._-]?key|access[._-]?key|account[._-]?key|private[._-]?key|shared[._-]?key|storage[._-]?key|auth[._-]?key|encryption[._-]?key"
)
_NAME = re.compile(_NAMES)
_PARAMETER = re.compile(r"[?&;#]([\w.%$\[\]-]{1,80})=")
_PARAMETER_NAME = re.compile(rf"{_NAMES}|sig$|jwt|session|auth(?!or)|key-?_?id$|(?:^|[^a-z])(?:key|pass|pw|sas|code)(?:$|[^a-z])")
_ASSIGNMENT = re.compile(
    rf"(?:{_NAMES})[\w.\[\]-]{{0,100}}"
    r"(?:\\{0,3}[\"'`]?[ \t]{0,4}(?:=>|->|:=|=|:)[ \t]{0,4}"  # name=value, "name": "value"
    r"|\\{0,3}[\"'],[ \t]{0,4}(?=[\"'])|,(?=[^\s\"']{1,300}\)))"  # ('name', 'value'), (name,value)
    r"(?:\\{0,3}[\"'`]?(?:bearer|basic|digest|negotiate|token)[ \t]{1,4})?"
)
_BEARER = re.compile(r"bearer[ \t]{1,4}(?=\S{8})")
_OPENING = re.compile(r"\\{0,3}[\"'`]")
# No possessive quantifiers: Python 3.11.2, which is Debian 12's, matches them wrongly where a lookahead is inside
_QUOTED = {mark: re.compile(rf"[^\n{mark}\\]{{0,{_REACH}}}(?:(?:\\.|{mark}(?!{_AFTER_QUOTE}))[^\n{mark}\\]{{0,{_REACH}}}){{0,20}}{mark}") for mark in "\"'`"}
_BARE = re.compile(rf"(?:[^\s&;,?#\"'`<>]|[&;,?#](?!\s?[\w.+-]{{1,60}}(?:=|:/))|[\"'`](?!{_AFTER_QUOTE}))*")


def redacted(text: str) -> str:
    """`text` with *** in place of the user part of every URL, of parameters with a name like a secret's, and of `password=...`.

    >>> redacted("cannot read https://ann:s3cr3t@host.example/videos?page=2&sig=AbC%2F1 as parquet")
    'cannot read https://***@host.example/videos?page=2&sig=*** as parquet'
    >>> redacted("hdfs://host.example:8020/a@b, abfss://container@account.example/videos")
    'hdfs://host.example:8020/a@b, abfss://container@account.example/videos'
    >>> redacted("Authorization: Bearer abcdef, fs.s3a.secret.key=abc/def+")
    'Authorization: Bearer ***, fs.s3a.secret.key=***'
    """
    if _ENCODED_SLASHES.search(text):
        text = _ENCODED.sub(_decoded, text)
    text = _ORACLE.sub(rf"\1{HIDDEN}@", _without_users(text))
    for names in (_PARAMETER, _ASSIGNMENT, _BEARER):
        text = _without_values(text, names)
    return text


def redacted_within(value: Any) -> Any:
    """`value` with every string in it `redacted`, also inside dictionaries, lists and tuples; a text under a secret's name is hidden.

    >>> redacted_within({"source": {"path": "https://ann:pw@host.example/v", "limits": (1, "x")}, "password": "pw"})
    {'source': {'path': 'https://***@host.example/v', 'limits': (1, 'x')}, 'password': '***'}
    """
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: HIDDEN if isinstance(item, str) and _is_secret(key) else redacted_within(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(redacted_within, value))
    return value


def _is_secret(key: object) -> bool:
    return isinstance(key, str) and _NAME.search(key.lower()) is not None


def _decoded(match: re.Match[str]) -> str:
    """A percent-encoded URL without its secrets; unchanged if it has none."""
    plain = match.group()
    for _ in range(3):
        plain = unquote(plain)
    shown = redacted(plain)
    return match.group() if shown == plain else quote(shown, safe="*")


def _without_users(text: str) -> str:
    """`text` with *** in place of the user part of each URL, and of a port that is no number."""
    urls = list(_urls(text))
    limits = [start for _, start, _, has_two_slashes in urls if has_two_slashes]  # where the next URL begins, this one has ended
    pieces, done, next_limit = [], 0, 0
    for scheme, start, begin, has_two_slashes in urls:
        while next_limit < len(limits) and not _DELIMITER.search(text, begin, limits[next_limit]):  # :// within a password
            next_limit += 1
        if start < done:  # within the secret of the URL before
            continue
        limit = limits[next_limit] if next_limit < len(limits) else len(text)
        window = text[begin : min(limit, begin + _LONGEST)]
        hidden = _hidden(scheme, window, text[max(0, start - 1) : start], has_two_slashes) if "@" in window or ":" in window else None
        if hidden:
            pieces += [text[done : begin + hidden[0]], HIDDEN]
            done = begin + hidden[1]
    return "".join([*pieces, text[done:]])


def _urls(text: str) -> Iterator[tuple[str, int, int, bool]]:
    """Of each URL: its scheme, where that begins, where its authority begins, and whether it has two slashes."""
    for match in _SLASHES.finditer(text):
        scheme = _SCHEME.search(text[max(0, match.start() - 31) : match.start()])
        if scheme:
            yield scheme.group().lower(), match.start() - len(scheme.group()), match.end(), match.group().count("/") == 2


def _hidden(scheme: str, window: str, before: str, has_two_slashes: bool) -> tuple[int, int] | None:
    """Where the secret in `window`, the text after the slashes of a URL, begins and ends; null if it has none. `before`: the character before the URL."""
    token = _token(window, before)
    authority = _AUTHORITY.match(token).group()  # type: ignore[union-attr]
    user, at, host = authority.rpartition("@")
    if not has_two_slashes:  # file:/videos/a@b is a path, but s3a:/KEY:SECRET@bucket is a URL that lost a slash
        return (0, len(user)) if at and ":" in user else None
    if not at:
        return _hidden_after_colon(scheme, window, token, authority)
    if scheme in _CONTAINERS and ":" not in user:
        return None
    is_whole = ":" not in user or scheme in _BUCKETS or _CERTAIN_HOST.match(host)
    return 0, len(user) if is_whole else _last_at(token, len(user))


def _hidden_after_colon(scheme: str, window: str, token: str, authority: str) -> tuple[int, int] | None:
    """The same for an authority without @: a password that holds / ? or #, or a port that is no number."""
    name, _, port = authority.partition(":")
    if not port and "@" not in token:
        return None
    is_place = port and _HOSTS.match(authority.rstrip(_CLOSERS)) and not (scheme in _BUCKETS and "@" in token)
    if is_place or ":" not in authority:
        end = _at_before_host(token) if scheme not in _NO_LOGIN and _may_be_login(authority) else -1
        return (0, end) if end > 0 else None
    if "@" in token:
        return 0, _last_at(token, 0)
    end = window.find("@", 0, _REACH)
    return (0, end) if end > 0 else (len(name) + 1, len(name) + 1 + len(port.rstrip(_CLOSERS)))


def _token(window: str, before: str) -> str:
    """The URL's text after its slashes: up to white space, or up to the quote that ends the quotation, unless that would split its user part."""
    token = re.match(r"[^\s<>]*", window).group()  # type: ignore[union-attr]
    for quote_mark in _QUOTE.finditer(token):
        if before and before in "\"'`" and quote_mark.group() != before:
            continue
        shorter = token[: quote_mark.start()]
        authority = _AUTHORITY.match(shorter).group()  # type: ignore[union-attr]
        _, at, host = authority.rpartition("@")
        is_certain = ":" not in authority or _CERTAIN_HOST.match(host) if at else not _may_be_login(authority)
        if (at or _HOSTS.match(authority.rstrip("\\"))) and (is_certain or _at_before_host(token[len(shorter) :]) < 0):
            return shorter
        break
    return token


def _may_be_login(authority: str) -> bool:
    """Whether host:port may be a user and the beginning of a password: the host is one word."""
    name, colon, _ = authority.partition(":")
    return bool(colon) and "." not in name and name != "localhost" and name[:1] != "["


def _at_before_host(token: str) -> int:
    """The position of the first @ that a certain host follows; -1 if there is none."""
    return next((match.start() for match in re.finditer("@", token) if _CERTAIN_HOST.match(token, match.end())), -1)


def _last_at(token: str, start: int) -> int:
    """The position of the @ that ends a user part: the first from `start` on that a certain host follows, else the last."""
    position = _at_before_host(token[start:])
    return start + position if position >= 0 else token.rindex("@")


def _without_values(text: str, names: re.Pattern[str]) -> str:
    """`text` with *** in place of the value that follows each match of `names`; of a parameter only if its name is a secret's."""
    pieces, done = [], 0
    for match in names.finditer(_lowered(text)):
        if match.start() < done or names is _PARAMETER and not _PARAMETER_NAME.search(unquote(match.group(1)).lower()):
            continue
        begin, end = _value(text, match.end())
        if end > begin:
            pieces += [text[done:begin], HIDDEN]
            done = end
    return "".join([*pieces, text[done:]])


def _lowered(text: str) -> str:
    """`text` in lower case, of the same length."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if c.isascii() else c for c in text)


def _value(text: str, start: int) -> tuple[int, int]:
    """Where the value at `start` begins and ends: a quotation's content, or up to white space or the next `name=`; nothing for null, true, false."""
    while text[start : start + 1] in ("[", "(", "{"):
        start += 1
    opening = _OPENING.match(text, start)
    if opening:
        start = opening.end()
        closing = _QUOTED[opening.group()[-1]].match(text, start)
        if closing:
            return start, start + len(closing.group()[:-1].rstrip("\\"))
    value = _BARE.match(text, start).group().rstrip(_CLOSERS + "\\")  # type: ignore[union-attr]
    return start, start + (0 if value.lower() in _NO_VALUES else len(value))
