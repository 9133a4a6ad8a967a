"""Benchmarks that a person or `make bench` runs; none of them is a test."""
