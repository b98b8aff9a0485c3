"""The Python API: the commands as plain functions that know no Click."""
