"""Do two targets do the same? Runs compared, answers recorded and replayed, latencies fitted."""
