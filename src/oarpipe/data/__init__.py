"""What lies on disk between the stages: images and their index, tokens, orders, samples; and batches."""
