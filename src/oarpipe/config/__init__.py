"""The book of recipes: strict types, no torch, no numpy, read in a fraction of a second."""
