"""The public API, the agent loop, the registry of workers, and the conversations. Never imports torch."""
