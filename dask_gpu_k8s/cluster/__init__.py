"""The client side: KubeCluster and what it is made of."""
