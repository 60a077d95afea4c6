"""The `switch` command."""

from __future__ import annotations

from switch.commands import main

if __name__ == "__main__":
    main()
