"""Store Python values as bytes under names, and cache them for `writeback`."""
