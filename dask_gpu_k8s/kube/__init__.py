"""The only place that talks to Kubernetes: client, reflector, port-forward and their errors."""
