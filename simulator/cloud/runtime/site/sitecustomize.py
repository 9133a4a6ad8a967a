"""Makes `time.sleep` in the twin's child processes a wait on the run's clock.

Python imports this file at start because its folder is on the children's PYTHONPATH. Without
it a throttled client would back off in real time against a bucket that only refills in virtual
time. Does nothing where the variables are not set; imports nothing before the first sleep. What
a child of built archives may import is `fleetwin_path`'s business, which is called from here
because nothing of the child's own runs earlier.
"""

import os
import time

if os.environ.get("FLEETWIN_PACKAGES"):
    import fleetwin_path  # type: ignore[import-not-found]

    fleetwin_path.leave_out(os.environ["FLEETWIN_PACKAGES"])

real_sleep = time.sleep


def sleep_on_the_runs_clock(seconds):  # type: ignore[no-untyped-def]
    """Ask the gateway to answer after ``seconds`` of the run's clock; really sleep without it."""
    url = os.environ.get("FLEETWIN_SLEEP_URL") or (
        os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/") + "/_fleetwin/sleep"
    )
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    if not url.startswith("http://"):
        real_sleep(seconds)
        return
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlencode

    host, _, path = url.removeprefix("http://").partition("/")
    query = urlencode({"worker": os.environ.get("FLEETWIN_WORKER", ""), "seconds": seconds})
    connection = HTTPConnection(host)
    try:
        connection.request("POST", f"/{path}?{query}", headers={"Content-Length": "0"})
        connection.getresponse().read()
    except (OSError, HTTPException):  # The twin is going down: this process is about to as well.
        real_sleep(min(seconds, 1.0))
    finally:
        connection.close()


if os.environ.get("FLEETWIN_SLEEP_URL") or (
    os.environ.get("AWS_ENDPOINT_URL") and os.environ.get("FLEETWIN_WORKER")
):
    time.sleep = sleep_on_the_runs_clock
