"""Threads, processes and operations on many keys, for every layer."""
