"""How images are recorded: mosaics, JPEG compression, blur, decimation, k-space, noise."""
