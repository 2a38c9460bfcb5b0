"""Budgets, the baseline and the gate."""
