"""Retrieval: search in a handbook of common conditions, with quotations and sources."""

from mmedagent.tool_workers.retrieval.tool import RetrievalTool

__all__ = ["RetrievalTool"]
