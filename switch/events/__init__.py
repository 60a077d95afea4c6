"""What happened, told to others: the outbox's publisher and the sinks that it publishes to."""
