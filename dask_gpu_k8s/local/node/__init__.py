"""The node: Pods as processes of this machine."""
