"""Side-by-side runs against peers: ``python -m benchmarks.NAME``, last line one JSON object."""
