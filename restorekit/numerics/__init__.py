"""Patches, symmetries, differences, interpolation and measures: arithmetic that knows no model."""
