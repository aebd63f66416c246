"""The scenario lab: callers, audibility, verdicts."""
