"""The physical world: machines, faults, sensors, networks; no word of AWS in it.

Made of NumPy, SciPy and SimPy; of ours it knows only `pipeline.messages`.
"""
