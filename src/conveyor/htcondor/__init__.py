"""Conveyor's place in HTCondor. HTCondor's bindings are imported on demand, by ``runner`` only."""
