"""`python -m deploy.core` makes the compiled core and prints the folder for `PYTHONPATH`."""

import sys

from deploy.core.build import CoreError, built

if __name__ == "__main__":
    try:
        sys.stdout.write(f"{built()}\n")
    except CoreError as error:
        sys.stderr.write(f"{error}\nThe core could not be compiled; without it everything runs from source, as well.\n")
        sys.exit(1)
