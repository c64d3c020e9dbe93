"""The error family: what a user can mend ends as one sentence and exit code 2.

A message says what was found, where, and what to do. Anything that is not an `XlclassError` is a defect of the program
and ends with its traceback.
"""


class XlclassError(Exception):
    """A mistake that the user can mend; `job.py` and `cli.py` print it as one line and exit with `exit_code`."""

    exit_code = 2


class SettingsError(XlclassError):
    """A settings file is missing, cannot be read, or holds an unknown, missing or out-of-range key."""


class MachineError(XlclassError):
    """Java, Python, a jar or a package of this machine is missing or does not fit."""


class SourceError(XlclassError):
    """The catalogue cannot be read, or lacks a column."""


class EncoderError(XlclassError):
    """An encoder is missing, damaged, or not of the contract."""


class ModelError(XlclassError):
    """There is no usable model version, or it does not fit the vectors or texts it is given."""


class LakeError(XlclassError):
    """A table of the lake is missing, or is not what `schemas.py` says."""
