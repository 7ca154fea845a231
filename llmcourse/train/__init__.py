"""The training room: from a model and a stream of tokens to a better model.

- ``losses``: how surprised the model was;
- ``optim``: from gradients to steps, AdamW and Muon;
- ``schedule``: how large a step, when;
- ``loop``: the four lines of training, repeated, with what a reader wants to see on the way;
- ``checkpoint``: stopping, and going on as if nothing had happened.

Nothing is imported here. Taught in chapters 03 and 06.
"""
