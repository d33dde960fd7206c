"""A cache on this machine, in front of a provider: see `provider`."""
