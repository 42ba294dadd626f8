"""The types that cross processes, and the planner's text format. Imports pydantic only."""
