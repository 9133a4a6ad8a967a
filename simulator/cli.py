"""`fleetwin` and `python -m simulator.cli` begin here: Ctrl-C is answered from the first moment.

The commands are in `cli_commands`, which takes a moment to import. Nothing
has been started by then, so that Ctrl-C ends the process at once; afterwards it is theirs. What is
imported here is what cannot be done without: before it, Ctrl-C is Python's own, with a traceback.
"""

from __future__ import annotations

import os
import signal

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it: 128 + SIGINT."""


def main() -> None:
    """Run the command line; ends with an exit code, never with a traceback for Ctrl-C."""
    # The background jobs of a shell ignore Ctrl-C, and go on doing so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from simulator.cli_commands import run_command_line

    run_command_line()


def _end(number: int, frame: object) -> None:
    os.write(2, b"\nfleetwin: stopped\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
