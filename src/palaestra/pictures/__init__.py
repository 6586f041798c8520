"""How things look: colours, charts as files and as pieces of a page, pages that stand alone.

Not here: which chart or page a room shows; that is the room's own.
"""
