"""Starting TensorFlow without its start-up chatter."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def tensorflow_starting() -> Iterator[None]:
    """Around the first import of TensorFlow or Keras in a process: what C++ writes to standard error is shown only if the import fails.

    Why: TF 2.21 writes some lines a worker before it reads TF_CPP_MIN_LOG_LEVEL; a job would print them once a worker.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except BaseException:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
