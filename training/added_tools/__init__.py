"""Teach the compact planner new tools from their cards without forgetting: `mmedagent train add-tool`."""
