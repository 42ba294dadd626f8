"""Makes the folder of the tests importable, so that they share what is in `support`."""
