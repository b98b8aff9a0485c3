"""Every JSON document that Conveyor writes or reads, as a type that pydantic checks.

What is written is exact. What is read may have keys that this release does not know, since a newer one may have written
them; it is refused as a whole if a key that is needed is missing or wrong.

The types are dictionaries with known keys, or frozen values, and no pydantic models, which take ten times as long to define.
Each module has those of one purpose, so that a start of the program pays only for what it reads or writes.
"""
