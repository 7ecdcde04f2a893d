"""Small numerical tools that rooms above share."""
