"""The command line, the profiles, and the supervisor that starts and restarts processes."""
