"""What the commands do, as plain functions that know no Click: the Python API."""
