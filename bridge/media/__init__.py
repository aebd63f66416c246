"""Numpy only: the media plane as array operations over all legs, once per 20 ms tick."""
