"""The command `doctor`, which checks whether a shelf can be used with a flag, and if not, why.

- `command.py` runs the checks and prints what they found.
- `checks.py` says what a check is, and skips those that depend on one that failed.
- `common.py` has the checks of every store, over the public interface of shelves and providers.
- A store may have checks of its own: `s3.py`.
"""
