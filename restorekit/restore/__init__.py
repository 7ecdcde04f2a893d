"""From image files to restored image files: arrays through networks, and batches of files through operations."""
