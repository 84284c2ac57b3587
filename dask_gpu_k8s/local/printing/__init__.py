"""The tables that kubectl prints: columns, cells and ages."""
