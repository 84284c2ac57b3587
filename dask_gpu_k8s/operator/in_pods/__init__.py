"""Programs that run in people's own containers, as texts: they import nothing of this package."""
