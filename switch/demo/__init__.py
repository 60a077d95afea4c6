"""The demo program: 22 cards made for one question each, and as many more as a load test wants."""
