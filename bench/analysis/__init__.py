"""Analysis of measured rows: comparisons, recommendations and their wording."""
