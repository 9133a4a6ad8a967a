"""Tests that the twin answers as AWS does: shapes, behaviour, journeys."""
