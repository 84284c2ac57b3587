"""What an API server does with objects: store, check, default, patch, select, delete. No HTTP in it."""
