"""How pictures are recorded: mosaics of colour filters, JPEG compression."""
