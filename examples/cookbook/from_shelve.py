"""Copy a file of the module shelve, or of another shelf, into a bucket.

Run it as ``python from_shelve.py visits s3://my-bucket/visits``, and again if it was interrupted.
"""

import sys

import cshelve


def main(source: str, target: str) -> None:
    with cshelve.open(source, "r") as old, cshelve.open(target) as new:
        # Each record is read again after it was written, and compared.
        copied = cshelve.copy(old, new, skip_existing=True, verify=True, progress=True)
        missing = set(old) - set(new)
        print(f"{copied} keys copied, {len(missing)} are missing")
        if missing:
            sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
