"""From stream records to the raw zone, each message exactly once."""
