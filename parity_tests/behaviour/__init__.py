"""L2: what AWS is known to answer."""

from parity_tests.behaviour import rows_jobs, rows_queues, rows_refusals, rows_streams
from parity_tests.behaviour.table import Behaviour, Behaviours

ROWS: list[Behaviour] = [
    row
    for module in (rows_streams, rows_jobs, rows_refusals, rows_queues)
    for group in vars(module).values()
    if isinstance(group, Behaviours)
    for row in group.all
]
"""All rows, in the order in which they are written."""
