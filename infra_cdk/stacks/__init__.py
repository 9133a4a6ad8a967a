"""The stacks: which constructs are deployed together."""
