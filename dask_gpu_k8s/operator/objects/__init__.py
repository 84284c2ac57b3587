"""Specification in, object out: the Pods, Services and resources that the operator makes."""
