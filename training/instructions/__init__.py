"""Instruction data for the planner: hand-written asks, tool cards and slot values, turned into annotated examples."""
