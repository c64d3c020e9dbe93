"""Shared by all rooms: logs, redaction, whole files, settings from TOML, terminal output, and requirements of the machine."""
