"""From an ini file, a dict or a URL to options with types."""
