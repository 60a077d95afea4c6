"""
One contract, asked of every backend.

A backend under test is a module here with two functions: `missing()` says why it cannot be
run on this machine, or nothing; `opened()` is an asynchronous context manager that gives it
open, holding the keys of `keys.KEYS`.
"""
