"""Model monitoring: baselines, checks of captured traffic, drift; for a processing job."""
