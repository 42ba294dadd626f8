"""The small LLaVA planner of the profile `llava-small`: its dialogues, its network and its training."""
