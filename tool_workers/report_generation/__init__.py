"""Radiology reports of chest radiographs, by the ChatCAD method."""

from mmedagent.tool_workers.report_generation.tool import ReportGenerationTool

__all__ = ["ReportGenerationTool"]
