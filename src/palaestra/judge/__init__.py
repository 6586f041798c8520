"""Judges compare answers: runs, verdicts, what they are worth, and what they foretell.

The room asks models for answers and judges for verdicts, and measures judges. It knows nothing of the engine that
ranks: its verdicts become votes on disk, and the command line brings both together.
"""
