"""Conversations as files to keep: JSON, a zip with the pictures, a page to print."""
