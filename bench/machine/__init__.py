"""The measuring machine: hardware, health, conditions."""
