"""Pages for people: what a book of recipes gave, as one self-contained HTML file."""
