"""The LLaVA planner: transformers for the model, peft for the LoRA adapter, and a parser that reads while it writes."""

from mmedagent.model_worker.llava.planner import LlavaPlanner

__all__ = ["LlavaPlanner"]
