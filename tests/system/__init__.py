"""Tests of whole processes, as they run on a machine of a user."""
