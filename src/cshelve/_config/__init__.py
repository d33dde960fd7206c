"""Read ini files, dicts and URLs into sections of typed options."""
