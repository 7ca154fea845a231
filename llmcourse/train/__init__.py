"""The training room: from a model and a stream of tokens to a better model.

- ``losses``: how surprised the model was;
- ``optim``: from gradients to steps, AdamW and Muon;
- ``schedule``: how large a step, when;
- ``loop``: the four lines of training, repeated, with what a reader wants to see on the way;
- ``checkpoint``: stopping, and going on as if nothing had happened.

A run of hours, on one device or many:

- ``pretrain``: the loop, from settings to a released model;
- ``sources``, ``derived``, ``precision``, ``compiling``: what it is given, and what follows from that;
- ``journal``, ``metrics``, ``held_out``, ``samples``, ``run_folder``: what it says and writes down;
- ``team``, ``distributed``: several processes as one;
- ``snapshots``, ``randomness``, ``signals``: an end at any moment, and going on from it;
- ``plan``, ``flops``, ``memory``, ``hardware``: what a run will take, before it is begun.

Nothing is imported here. Taught in chapters 03 and 06.
"""
