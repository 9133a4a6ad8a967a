"""L4: how long each hop takes."""
