"""Tests of the web side: a real bridge on loopback, real calls, real HTTP."""
