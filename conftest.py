"""Settings of all tests: Hypothesis measures no time, since machines are shared."""

from hypothesis import settings

settings.register_profile("fleetwin", deadline=None)
settings.load_profile("fleetwin")
