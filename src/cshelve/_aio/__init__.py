"""Shelves for asyncio."""
