"""The log for people: lines in, lines out. Only `files` and `remote` read anything."""
