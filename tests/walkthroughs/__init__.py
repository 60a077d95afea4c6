"""The walk-throughs of the documentation, run as they stand there: `make walkthroughs`."""
