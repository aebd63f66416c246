"""Measurements of the bridge; each module runs the programs it measures and returns numbers."""
