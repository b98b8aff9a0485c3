"""The request: what its ``metadata.json`` says, and the places that follow from it."""
