"""The HTTP side of the API server: paths, queries and bodies in; JSON, tables, watches and streams out."""
