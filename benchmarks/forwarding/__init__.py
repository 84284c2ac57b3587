"""Port-forwards beside kubectl's."""
