"""What is measured: artifacts, models without a card, and test pictures."""
