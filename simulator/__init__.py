"""Everything outside AWS's own code: the machines, the twin of the cloud, runs and reports."""
