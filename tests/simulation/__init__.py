"""The simulated world: many replicas of the real core under one clock, with lossy links, lying disks and crashes.

python -m tests.simulation --seed 17            one line: what the storm did
python -m tests.simulation --seed 17 --trace    every event of it
"""
