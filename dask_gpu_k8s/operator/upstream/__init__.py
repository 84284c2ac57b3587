"""Clusters of dask-kubernetes' operator, which has the same resources: left alone, or taken over."""
