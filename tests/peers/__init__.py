"""Tests against real peers: SIPp, PJSIP and others; with CI=true a missing peer is a failure."""
