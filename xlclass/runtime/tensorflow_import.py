"""Imports TensorFlow without its start-up messages and without packages that it does not need."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Keras imports these if they are installed, for wrappers and plots that xlclass does not use. They took half of the 4.5 s of processor
# time of `import tensorflow, tensorflow_text` in each process (2.2 s without them; 2 cores of an AMD EPYC, November 2026).
_NOT_NEEDED = ("matplotlib", "pandas", "sklearn")


@contextmanager
def quiet_tensorflow_import() -> Iterator[None]:
    """Context of the first import of TensorFlow or Keras in a process: their C++ messages are printed only if the import fails.

    Why: TensorFlow 2.21 writes some lines before it reads TF_CPP_MIN_LOG_LEVEL, and a job would print them once per worker. Inside
    the context, packages of `_NOT_NEEDED` that are not imported yet appear to be missing.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        modules: dict[str, Any] = sys.modules
        hidden = [name for name in _NOT_NEEDED if name not in modules]
        modules.update(dict.fromkeys(hidden))
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            for name in hidden:
                modules.pop(name, None)
            os.dup2(stderr, 2)
            os.close(stderr)
