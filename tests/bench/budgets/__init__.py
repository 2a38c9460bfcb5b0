"""Tests of bench/budgets/."""
