"""What training has in common, whatever the method: the loop, its clock, checkpoints on disk."""
