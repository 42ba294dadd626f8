"""The tools: one module each, behind the Protocol of `mmedagent.serving.tool`, found by entry point."""
