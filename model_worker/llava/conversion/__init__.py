"""Original folders of LLaVA, LLaVA-Med and MMedAgent, turned into what `LlavaPlanner` loads."""

from mmedagent.model_worker.llava.conversion.conversion import Conversion, Originals, require_empty

__all__ = ["Conversion", "Originals", "require_empty"]
