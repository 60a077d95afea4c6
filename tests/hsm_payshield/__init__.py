"""The payShield backend against a test peer that answers with psec and pyemv."""
