"""What became of a run, and how it goes: lists, a page that stands alone, a page that follows it.

Not here: writing and reading its folder (`store/runs.py`, `store/run_reading.py`).
"""
