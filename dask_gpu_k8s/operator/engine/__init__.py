"""What turns observed state into actions, whatever the kind: cache, queue, controller, executor."""
