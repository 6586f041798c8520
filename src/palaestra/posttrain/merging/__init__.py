"""Merging: several models of one architecture become one, tensor by tensor, without training.

    methods.py   what one tensor of the merge is, given that tensor of each model
    sparse.py    which entries of an expert's change are kept: TIES, DARE, DELLA
    recipe.py    what is merged, with which weights, as data
    shards.py    tensors read one at a time, and written where they belong
    merge.py     a recipe becomes a folder of Hugging Face
    trial.py     a recipe's score on examples
    search.py    weights chosen by a validation score

What a merge is worth on examples is `posttrain/held_out.py`, and whether it beats its base `posttrain/gate.py`.
"""
