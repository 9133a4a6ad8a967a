"""Detection quality on recorded sets: `python -m benchmarks.detection`; see docs/detection.md."""
