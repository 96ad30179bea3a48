"""What an order is, and where one comes from."""
