"""`classify.py --serve`: a page where people draw, and an address where programs send pictures."""
