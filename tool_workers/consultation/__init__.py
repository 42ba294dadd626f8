"""Consultation: triage, independent specialists and an attending physician (MMedAgent-RL, arXiv 2506.00555)."""

from mmedagent.tool_workers.consultation.tool import ConsultationTool

__all__ = ["ConsultationTool"]
