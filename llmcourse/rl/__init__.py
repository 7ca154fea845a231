"""The reinforcement learning room: guess, check, and do more of what was right.

- ``answers``: which answer a text gives in the end, and which number that is;
- ``rewards``: what an attempt earns, each reason apart;
- ``rollout``: many attempts at each problem, ready to be learnt from;
- ``logprobs``: how probable a model thought each token, and means over what counts;
- ``advantages``: better or worse than what?
- ``policy_loss``: from advantages to a loss;
- ``config``: the ladder from REINFORCE to DAPO, a rung a change;
- ``expert_iteration``: the rung below: fine-tune on what was right;
- ``update``, ``trainer``: the loop;
- ``grpo``: the same in single functions that need no loop;
- ``evaluation``: pass@1 and pass@k;
- ``records``, ``watch``: what a run writes down, and how it fails without an error.

Nothing is imported here. Taught in chapter 15.
"""
