"""Tests; each package mirrors the code it tests."""
