"""Distances between sets of images, paths of orders, and information in nats: numbers, no pictures."""
