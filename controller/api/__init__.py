"""The public API, one file a resource, and the internal one that workers use."""
