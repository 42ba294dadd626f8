"""Where the parts of the installation are, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent

MODELS = _ROOT / "models"
EVALUATION = _ROOT / "evaluation"
PAGE = _ROOT / "webui" / "dist"
PROFILES = _ROOT / "cli" / "profiles"
