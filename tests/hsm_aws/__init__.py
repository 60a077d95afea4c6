"""
The AWS backend against a data plane of our own, and moto's control plane.

`simulator` is the server, `model` what makes it refuse what the real one's model refuses,
`operations` and `formulas` its answers, by psec and pyemv; `control` puts the test keys into moto.
"""
