"""The shelf, which users hold, and its operations of several steps."""
