"""What the user holds: the shelf, and what it does in many steps."""
