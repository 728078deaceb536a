"""Models on disk: model folders and their cards, bundled models, models of other origin."""
