"""The parts of the stack, one concept a file."""
