"""The loops, and the parts that both assemble: optimiser, checkpoints, averages."""
