"""
Keys: the only room that touches one.

The switch asks its questions through `keys.hsm`; a backend answers them. PANs
are kept by `keys.vault`. Nothing here imports the switch or its dialects.
"""
