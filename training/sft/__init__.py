"""LoRA supervised fine-tuning of a LLaVA-type planner: `mmedagent train planner CONFIG.toml` (docs/training.md)."""
