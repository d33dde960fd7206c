"""`filesystem`: a shelf in a folder."""
