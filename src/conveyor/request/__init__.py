"""The request: its ``metadata.json``, and the places that follow from it."""
