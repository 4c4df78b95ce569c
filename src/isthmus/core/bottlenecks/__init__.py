"""Bottlenecks, one a file."""
