"""The operator: watches the Dask resources and makes the Pods and Services that they ask for."""
