"""Post-training: examples and experts become one model, by imitation, reward, merging and distillation."""
