"""The program: ``catclf``, or ``python -m catclf``."""

from __future__ import annotations

import gc
import signal
import sys

from catclf.images.hdf5_process import start_ahead

# While modules are imported everything is new and nothing is garbage: to look for it, by default after
# every 700 new objects, and once more through all of them at the end, takes a fifth of a short run.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def run() -> int:
    """Run the command line as a process of its own and return its exit code."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        start_ahead(sys.argv[1:])
        from catclf.cli import main
    except KeyboardInterrupt:  # from here on it is `main` that minds signals
        return 128 + signal.SIGINT
    code = main()
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(run())
