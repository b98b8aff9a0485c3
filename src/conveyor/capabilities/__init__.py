"""Capabilities: what each kind of request declares about its conveyance, and the registry that finds them."""
