"""A catalogue made fit to encode: text, language, rules, and the embedded demo."""
