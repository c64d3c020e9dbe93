"""Starting TensorFlow without its start-up chatter, and without what it loads and nobody uses."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Keras imports these where they are installed, for wrappers and plots that nothing here uses: half of the 4.5 s of processor time
# that `import tensorflow, tensorflow_text` took in each process with them (2.2 without; 2 cores of an AMD EPYC, November 2026).
_NOT_NEEDED = ("matplotlib", "pandas", "sklearn")


@contextmanager
def tensorflow_starting() -> Iterator[None]:
    """Around the first import of TensorFlow or Keras in a process: what C++ writes to standard error is shown only if the import fails.

    Why: TF 2.21 writes some lines a worker before it reads TF_CPP_MIN_LOG_LEVEL; a job would print them once a worker. Meanwhile
    `_NOT_NEEDED`, as far as they are not imported yet, look as if they were not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        modules: dict[str, Any] = sys.modules
        hidden = [name for name in _NOT_NEEDED if name not in modules]
        modules.update(dict.fromkeys(hidden))
        try:
            yield
        except BaseException:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            for name in hidden:
                modules.pop(name, None)
            os.dup2(kept, 2)
            os.close(kept)
