"""
The questions of `keys.hsm.Hsm`, a room for each kind of them.

Every room prepares its keys once, from the ring it is given, and answers inline. What it asks
for is checked here; the formulas themselves are the modules above, which trust their arguments.
"""
