"""`switch top`: what a running switch does now, in a terminal."""
