"""Searching the smallest model that keeps a budget: trials that train, convert and measure, and the winner."""
