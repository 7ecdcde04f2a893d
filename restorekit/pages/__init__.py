"""Web pages and plots that need nothing else: templates, and pictures to put on them."""
