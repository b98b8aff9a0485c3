"""What the benchmarks share; one purpose a module."""
