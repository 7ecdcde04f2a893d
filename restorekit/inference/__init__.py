"""Devices, tiles, windows and qualities: networks and solvers run on pictures of any size."""
