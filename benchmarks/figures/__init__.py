"""All figures that compare cshelve with other packages: measured, in tables, and drawn.

`python -m benchmarks.figures` measures them and updates the pages, and
`python -m benchmarks.figures.pages` updates the pages from the results that are there.
"""
