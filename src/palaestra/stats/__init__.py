"""Numbers in, numbers out: fits and intervals that several rooms share. No records, no files, no names of models."""
