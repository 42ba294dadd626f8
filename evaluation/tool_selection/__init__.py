"""Tool selection: whether the planner picks the tools that an ask needs, on asks written by hand for this alone."""
