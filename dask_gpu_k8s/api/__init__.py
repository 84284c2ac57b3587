"""What the resources are: kinds, names, labels, schemas and what their state means. Pure data and functions."""
