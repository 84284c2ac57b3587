"""Correct under any single failure: every fault at every API call of every script; see README.md."""
