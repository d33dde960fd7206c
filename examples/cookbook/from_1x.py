"""Move a shelf of cshelve 1.x to the options of this version.

Run ``python from_1x.py check old.ini`` while programs still use 1.x. When none does any more, run
``python from_1x.py convert new.ini``.
"""

import sys

import cshelve


def check(configuration: str) -> int:
    """Read every value, as this version does, and return how many it cannot read."""
    failures = 0
    with cshelve.open(configuration, "r") as db:
        for key, value in db.items(on_error="return"):
            if isinstance(value, cshelve.RecordError):
                print(f"{key}: {value}")
                failures += 1
        print(f"{len(db) - failures} values can be read, {failures} cannot")
    return failures


def convert(configuration: str) -> None:
    """Write every record again as the configuration says, where that makes a difference."""
    with cshelve.open(configuration, "w") as db:
        # Until nobody has written in between.
        while converted := db.rewrite():
            print(f"{converted} records converted")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check", configuration]:
            sys.exit(check(configuration) > 0)
        case ["convert", configuration]:
            convert(configuration)
        case _:
            sys.exit(__doc__)
