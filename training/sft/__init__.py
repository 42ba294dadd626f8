"""LoRA supervised fine-tuning of a LLaVA planner: `mmedagent train planner CONFIG.toml` (docs/training.md)."""
