"""How a Python value becomes bytes under a name; and the values that a shelf keeps and writes."""
