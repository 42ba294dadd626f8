"""The planner behind any OpenAI-compatible endpoint: vLLM, SGLang, Ollama, llama.cpp, or a hosted model."""

from mmedagent.model_worker.openai_compatible.planner import OpenAIPlanner

__all__ = ["OpenAIPlanner"]
