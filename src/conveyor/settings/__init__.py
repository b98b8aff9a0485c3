"""Settings: their model, and the sources that set them, strongest first."""
