"""Which language a video is in: the declared code, in the form that all tables use."""

from __future__ import annotations

UNKNOWN = "und"
_RENAMED = {"iw": "he", "in": "id", "nb": "no", "nn": "no", "fil": "tl", "ji": "yi", "jw": "jv", "mo": "ro"}
_TRADITIONAL = {"hant", "tw", "hk", "mo"}  # scripts and regions that write Chinese in traditional characters
_NO_LANGUAGE = {"", "und", "zxx", "mul", "mis", "none", "null", "unknown"}


def base_language(declared: str | None) -> tuple[str, str | None]:
    """The language and the locale that a declared BCP 47 tag means: `(language, locale)`.

    The language is the base code, `und` where there is none; Chinese keeps its script. The locale is the tag in
    canonical case, null where none was declared.

    >>> base_language("en-GB"), base_language("iw"), base_language("zh_tw"), base_language(None)
    (('en', 'en-GB'), ('he', 'he'), ('zh-Hant', 'zh-TW'), ('und', None))
    """
    parts = (declared or "").strip().replace("_", "-").split("-")
    code = parts[0].lower()
    if code in _NO_LANGUAGE or not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3):
        return UNKNOWN, None
    code = _RENAMED.get(code, code)
    locale = "-".join([code, *(_canonical(part) for part in parts[1:] if part)])
    if code in ("zh", "yue") and {part.lower() for part in parts[1:]} & _TRADITIONAL:
        return "zh-Hant", locale
    return code, locale


def _canonical(subtag: str) -> str:
    """A subtag in BCP 47's case: scripts in title case, regions in capitals."""
    return {4: subtag.title(), 2: subtag.upper()}.get(len(subtag), subtag.lower())
