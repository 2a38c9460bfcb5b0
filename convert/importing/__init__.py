"""Models that were not trained here: opening, describing and wrapping them."""
