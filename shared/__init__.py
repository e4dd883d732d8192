"""What both tiers must agree on; it knows neither of them."""
