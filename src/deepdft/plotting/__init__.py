"""Pictures of densities and errors."""
