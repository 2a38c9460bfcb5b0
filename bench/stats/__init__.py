"""Statistics: percentiles, intervals, ratios, sequential tests, verdicts."""
