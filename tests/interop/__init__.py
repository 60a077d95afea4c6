"""Other implementations of the protocol against a running switch."""
