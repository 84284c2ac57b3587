"""An embedded Kubernetes: an API server in memory and a node that runs Pods as local processes."""
