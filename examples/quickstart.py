"""Write a shelf in an S3 bucket from one process, and read it from another.

Run ``python quickstart.py write`` and then ``python quickstart.py read``, in a folder with
`aws-s3.ini`, with the two variables set that the file names. `make demo` does all of this.
"""

import sys
from datetime import date

import cshelve


def write() -> None:
    with cshelve.open("aws-s3.ini") as db:
        db["users/ada"] = {"name": "Ada", "born": date(1815, 12, 10), "tags": {"maths", "poetry"}}
        db["users/alan"] = {"name": "Alan", "born": date(1912, 6, 23), "tags": {"maths", "running"}}
        db["settings"] = ["any", ("picklable", "object"), 3.14]
        print(f"wrote {len(db)} values: {', '.join(db)}")


def read() -> None:
    with cshelve.open("aws-s3.ini", flag="r") as db:
        for key, value in db.items():
            print(f"{key:11} = {value}")
        print(f"'users/grace' is there: {'users/grace' in db}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write"]:
            write()
        case ["read"]:
            read()
        case _:
            sys.exit(__doc__)
