"""Model files, read with only the standard library: card, graph, metadata, checks."""
