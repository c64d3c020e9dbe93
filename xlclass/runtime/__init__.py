"""What every room stands on: logs, redaction, whole files, settings from TOML, the terminal, and what a machine must have."""
