"""The chat completions API, as a client of an OpenAI-compatible endpoint."""
