"""What the resources are: kinds, names, labels, schemas and the meaning of their state. All of it pure."""
