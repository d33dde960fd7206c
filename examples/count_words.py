"""Count the words of some texts into one shelf, in ten processes.

Run it as ``python count_words.py aws-s3.ini FILE…``, and set the variables that aws-s3.ini names.
"""

import re
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cshelve

PROCESSES = 10


def count_words(shelf: cshelve.CloudShelf, file: str) -> None:
    """Add the words of one text to the counts; runs in one of the processes."""
    text = Path(file).read_text(encoding="utf-8")
    counts = Counter(re.findall(r"\w+", text.lower()))
    # Unpickling a shelf opens it in this process, so this process closes it.
    with shelf as words:
        for word, count in counts.items():
            add(words, word, count)


def add(words: cshelve.CloudShelf, word: str, count: int) -> None:
    # If another process changes the count meanwhile, the function is called again.
    words.modify(word, lambda n: n + count, default=0)


def main(configuration: str, files: list[str]) -> None:
    with cshelve.open(configuration) as db:
        assert isinstance(db, cshelve.CloudShelf)  # every shelf from a configuration is one
        words = db.prefix("words/")
        words.clear()
        with ProcessPoolExecutor(PROCESSES) as pool:
            # Consuming the results raises any error from a process.
            list(pool.map(count_words, [words] * len(files), files))
        counts = Counter(dict(words.items()))  # read in parallel
        for word, count in counts.most_common(10):
            print(f"{count:7}  {word}")
        print(f"{counts.total():7}  in all, {len(counts)} different ones")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [configuration, *files] if files:
            main(configuration, files)
        case _:
            sys.exit(__doc__)
