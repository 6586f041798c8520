"""The arena: people compare two unnamed models, vote, and see who was who.

The room knows the ledger and the gateway. It does not rank: the function that turns votes into a board is handed in by
whoever builds the application (`cli/arena.py`).
"""
