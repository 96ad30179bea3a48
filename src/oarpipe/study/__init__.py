"""Preference studies: which of two pictures people choose, asked on a page and counted with intervals."""
