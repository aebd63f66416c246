"""Tests of the leg story."""
