"""`serai`, and `python -m serai`."""

from serai.cli.app import main

if __name__ == "__main__":
    main()
