"""The errors that a user can fix: each ends the program with one sentence and exit code 2.

A message states what was found, where, and what to do. Any exception that is not an `XlclassError` is a defect of the program
and ends with its traceback.
"""


class XlclassError(Exception):
    """A mistake that the user can fix; `cli/job.py` and `cli/main.py` print it as one line and exit with `exit_code`."""

    exit_code = 2


class SettingsError(XlclassError):
    """A settings file is missing or unreadable, or has an unknown, missing or out-of-range key; or an argument has a wrong value."""


class MachineError(XlclassError):
    """Java, Python, a jar or a package of this machine is missing or has the wrong version, or memory or disk do not suffice."""


class SourceError(XlclassError):
    """The catalogue cannot be read, or a column is missing."""


class EncoderError(XlclassError):
    """An encoder is missing or damaged, or does not follow the contract."""


class ModelError(XlclassError):
    """No model version is usable, or it does not match the vectors or texts."""


class LakeError(XlclassError):
    """A table of the lake is missing or does not match `schemas.py`, or another run is changing it."""
