"""What every process shares: the worker app, registration, clients, the blob store, logs and metrics. No torch."""
