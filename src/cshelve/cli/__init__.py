"""The command `cshelve`: look into shelves, copy them, and check how they are configured.

`program.py` lists the commands. Each is a function with what it prints; the work is done by the
public methods of a shelf.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, and exit with its status; without the extra, say what to install."""
    try:
        _main()
    except KeyboardInterrupt:
        # While modules are imported: `run` handles the others.
        print("cshelve: interrupted", file=sys.stderr)
        sys.exit(130)


def _main() -> None:
    try:
        import click
        import rich
    except ModuleNotFoundError as error:
        print(
            f"cshelve: the command line needs the package {error.name}: pip install 'cshelve[cli]'",
            file=sys.stderr,
        )
        sys.exit(1)
    del click, rich
    from cshelve.cli.program import run

    run()
