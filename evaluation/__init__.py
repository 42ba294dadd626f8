"""Measurements: tool selection, tool quality, latency and load."""
