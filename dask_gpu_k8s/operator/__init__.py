"""The operator: turns Dask resources into Pods and Services, and keeps them so."""
