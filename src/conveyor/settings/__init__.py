"""Settings: what can be set, and the sources that set it, strongest first."""
