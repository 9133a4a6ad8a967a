"""The embedded twin of AWS: a clock, permissions, quotas, and services that really run."""
