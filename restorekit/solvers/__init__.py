"""Iterations that reconcile a prior with an observation."""
