"""Faults that tests patch into the bridge, to see that the stories notice them (issue 4)."""
