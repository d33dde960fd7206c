"""`python -m cshelve` is the command `cshelve`."""

from cshelve.cli import main

main()
