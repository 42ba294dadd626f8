"""The compact planner: MiniLM with LoRA and a small image tower, for machines without a GPU."""

from mmedagent.model_worker.compact.planner import CompactPlanner

__all__ = ["CompactPlanner"]
