"""A world of 24 small domains in which experts become one model: what it asks, who answers, and how that is graded.

`world.py` has the domains and their examples, `letters.py` the tokenizer, `small_model.py` a model for it, `grading.py`
what a model knows of each. Not here: how any model is trained (`posttrain/`).
"""
