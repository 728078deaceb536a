"""Input of strangers: files, archives, models, configurations, numbers."""
