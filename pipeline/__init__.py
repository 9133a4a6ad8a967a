"""The predictive-maintenance pipeline: ordinary AWS code that runs the same on every target."""
