"""Is this reward, judge or function a good stand-in for people and for the truth? Preference Proxy Evaluations.

After Frick et al. (2024), *How to evaluate reward models for RLHF*. Two sides:

    human         people's votes on pairs: how often the proxy picks the same reply, and whether the board that its
                  choices make is the board of people
    correctness   prompts with many sampled replies, each right or wrong: whether the proxy tells them apart, and how
                  right the reply is that it picks as the best of K

and beside them the pairs of RewardBench, RM-Bench, JudgeBench and LLMBar. What the optimised models are worth in the
end is compared with each figure (`downstream.py`).

Not here: rewards themselves (`rewards/model.py`), and boards, which the ranking room makes (`recipes/proxy_board.py`).
"""
