"""Talking to Dask schedulers, by their own protocol and without pickles."""
