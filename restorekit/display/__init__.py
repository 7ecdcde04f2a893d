"""Pages that show pictures: how they look, and what of a picture is worth showing."""
