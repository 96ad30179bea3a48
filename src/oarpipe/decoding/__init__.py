"""The walk: one loop that extracts orders with the truth in hand, and generates images without it."""
