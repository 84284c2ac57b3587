"""Certificates of secured clusters: made here, kept in a Secret, renewed before they expire."""
