"""The client side: KubeCluster and what it is made of.

Here belongs what runs in the user's process. `spec`, `roles`, `overlay`, `arguments` and `image` are pure:
arguments in, manifests out.
"""
