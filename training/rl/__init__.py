"""Rewards, curriculum and GRPO of the consultation panel, and a synthetic world in which it is measured."""
