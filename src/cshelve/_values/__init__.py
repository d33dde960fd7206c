"""Python values as bytes under names, and the cache of a shelf with writeback."""
