"""Which mixture of domains? Small runs over a simplex, a law from mixture to score, the best mixture, how sure.

simplex.py      weights that sum to one
design.py       which runs are made, within a budget of tokens
trials.py       each in its own process, resumable
small_run.py    a trial that trains a language model
law.py          from mixture to the score of each domain
spread.py       how sure
best.py         the mixture that is foretold to be best
effects.py      what leaving a domain out does to each score
checks.py       foretold against measured
experiment.py   all of that in its order
report.py, charts.py, page.py   for readers
"""
