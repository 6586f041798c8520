"""Prompts of the crowd become a benchmark: cleaned, scored for what they ask of a model, and drawn evenly over topics.

After BenchBuilder (Li et al., *From crowdsourced data to high-quality benchmarks*, 2024). The room reads prompts and
writes a set of prompts; it knows nothing of answers, verdicts or ratings. Judges are asked through a callable that the
command line passes in (`asking.Ask`).
"""
