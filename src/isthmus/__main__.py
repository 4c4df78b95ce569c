"""The command, as ``python -m isthmus`` and ``torchrun -m isthmus`` run it."""

from isthmus.cli import main

if __name__ == "__main__":
    main()
