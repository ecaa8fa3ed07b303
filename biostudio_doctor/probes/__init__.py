"""Reusable network measurements: a duration for each phase, no judgement."""
