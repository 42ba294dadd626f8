"""What is kept: files, artifacts, conversations, turns and their events."""
