"""`python -m restorekit`."""

from __future__ import annotations

from restorekit.cli import main

if __name__ == "__main__":
    main()
