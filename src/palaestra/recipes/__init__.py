"""What takes more than one room: whole ways from one kind of record to another.

Only recipes and the command line see two stations at once.
"""
