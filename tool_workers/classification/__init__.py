"""Zero-shot classification: an image against labels in words."""

from mmedagent.tool_workers.classification.tool import ClassificationTool

__all__ = ["ClassificationTool"]
