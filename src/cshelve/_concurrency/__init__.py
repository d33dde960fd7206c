"""What every layer needs for many keys, threads and processes."""
