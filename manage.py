#!/usr/bin/env python
from openfang_site.cli import main

if __name__ == "__main__":
    main()
