"""Why the admin port refuses, apart from the port: commands catch it, and HTTP costs a start."""


class AdminError(Exception):
    """The admin port cannot be served: says why in one line."""
