"""Whether what is in deploy/ can be trusted, without asking anybody: `python -m deploy.check`."""
