"""How well the recipe predicts patients it has not seen: the published protocol, run again, and what came of it.

Read in this order: ``goals`` (what is promised), ``protocol`` (which patients are held out when), ``crossfit`` (the
fits), ``evaluate`` (all of it together); ``scores``, ``survival`` and ``logistic`` are the arithmetic.
"""
