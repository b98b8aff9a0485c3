"""Conveyor's place in HTCondor. HTCondor itself is imported where it is used, and only there."""
