"""What every room that trains shares: features of texts, backbones, checkpoints."""
