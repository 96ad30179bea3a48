"""What a machine makes of the line's hot paths, each beside the floor that its rates and closed forms set."""
