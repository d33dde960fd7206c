"""Threads, forks, and the outcomes of operations on many keys; every layer uses these."""
