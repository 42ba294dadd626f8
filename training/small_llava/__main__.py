"""Train the small LLaVA planner on dialogues about images of the pool: first its base, then a LoRA adapter on that.

    python -m mmedagent.training.pool --out build/pool
    python -m mmedagent.training.small_llava base --pool build/pool --minutes 90
    python -m mmedagent.training.small_llava adapter --pool build/pool --minutes 15

The folder `--out` holds base and adapter in half precision and a `planner.json`. A run that was stopped goes on from
its last state in `--work`; a new one from the base in `--start`, where that is given, which keeps its vocabulary.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from torch import Tensor
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from mmedagent.networks.checkpoints import save_fp16
from mmedagent.protocol.prompts import PromptStyle, Turn, render_reply, render_turns
from mmedagent.training.feed import Run, autocast
from mmedagent.training.small_llava.dialogues import DialogueDrawer
from mmedagent.training.small_llava.feed import DialogueFeed
from mmedagent.training.small_llava.network import reply_loss, small_llava, small_processor

NAME, LABEL = "llava-small", "demonstration weights, trained on synthetic dialogues and images"
BASE_RATE, ADAPTER_RATE, WARM_UP, DECAY, CLIP = 1.5e-3, 6e-4, 100, 0.05, 1.0
ADAPTER = LoraConfig(
    r=32,
    lora_alpha=64,
    target_modules=r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)",
    task_type="CAUSAL_LM",
)
SEED_OF_ADAPTER = 500
VOCABULARY_ASKS, MAX_NEW_TOKENS = 6_000, 512
BASE, ADAPTER_FOLDER, PROCESSOR, MANIFEST = "base", "adapter", "processor", "planner.json"
SHARD = "15MB"

logger = logging.getLogger(__name__)


def vocabulary_texts(seed: int) -> list[str]:
    """Dialogues as the planner reads them, to learn a vocabulary from."""
    drawer = DialogueDrawer("train", [seed])
    asks = list(islice(drawer.draw(seed), VOCABULARY_ASKS))
    texts = []
    for place, ask in enumerate(asks):
        turns = []
        for exchange in drawer.dialogue(ask, asks[place - 1], None).dialogue.exchanges:
            turns += [Turn("USER", exchange.said), Turn("ASSISTANT", render_reply(exchange.plan))]
        texts.append(render_turns(turns, has_image=False, style=PromptStyle()))
    return texts


def processor_of_run(work: Path, seed: int) -> Any:
    """The processor that the run began with, so that a stopped run keeps its vocabulary when asks are added."""
    folder = work / PROCESSOR
    if not folder.is_dir():
        small_processor(vocabulary_texts(seed)).save_pretrained(folder)
    return LlavaProcessor.from_pretrained(folder, local_files_only=True)


def read_base(folder: Path) -> tuple[Any, Any]:
    """Model in float32 and processor."""
    base = folder / BASE
    model = LlavaForConditionalGeneration.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    return model, LlavaProcessor.from_pretrained(base, local_files_only=True)


def new_base(options: argparse.Namespace) -> tuple[Any, Any]:
    """An untrained model and its processor."""
    processor = processor_of_run(options.work, options.seed)
    return small_llava(processor.tokenizer, options.seed), processor


def write_base(folder: Path, model: Any, processor: Any, state: dict[str, Tensor], version: str) -> None:
    """The base in float16 and a `planner.json` that names it alone."""
    model.load_state_dict(state)
    base = folder / BASE
    base.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(base, max_shard_size=SHARD)
    for file in base.glob("*.safetensors"):
        file.chmod(0o644)
    processor.save_pretrained(base)
    manifest = {
        "name": NAME, "version": version, "base": BASE, "max_new_tokens": MAX_NEW_TOKENS, "verbatim": True,
        "label": LABEL,
    }  # fmt: skip
    (folder / MANIFEST).write_text(f"{json.dumps(manifest, indent=2)}\n", "utf-8")


def write_adapter(folder: Path, adapted: PeftModel, state: dict[str, Tensor]) -> None:
    """The adapter in peft's format, in float16, named in `planner.json`."""
    adapted.load_state_dict(state)
    adapted.save_pretrained(str(folder / ADAPTER_FOLDER))
    save_fp16(get_peft_model_state_dict(adapted), folder / ADAPTER_FOLDER / "adapter_model.safetensors")
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    (folder / MANIFEST).write_text(f"{json.dumps({**manifest, 'adapter': ADAPTER_FOLDER}, indent=2)}\n", "utf-8")


def fit(options: argparse.Namespace, model: Any, processor: Any, rate: float, seed: int) -> dict[str, Tensor]:
    """Train what of the model is to be trained until the time is spent; returns its averaged state."""
    run = Run(options.stage, options.work / f"{options.stage}.pt", model, model, rate, DECAY, options.minutes * 60)
    batches = DialogueFeed(options.pool, processor, "train", options.tokens, seed + run.count).batches()

    def losses() -> dict[str, Tensor]:
        with autocast(torch.device("cpu")):
            return {"reply": reply_loss(model, next(batches))}

    run.train(losses, WARM_UP, CLIP)
    return run.average.state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("base", "adapter"))
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--work", type=Path, default=Path("build/llava-small"))
    parser.add_argument("--out", type=Path, default=Path("models/llava-small"))
    parser.add_argument("--start", type=Path, help="folder of a base to go on from")
    parser.add_argument("--rate", type=float, default=BASE_RATE, help="highest learning rate of the base")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--tokens", type=int, default=4_000, help="places of a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--version", default="0.1.0")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.stage == "base":
        model, processor = new_base(options) if options.start is None else read_base(options.start)
        logger.info("%.1f million parameters", sum(one.numel() for one in model.parameters()) / 1e6)
        state = fit(options, model.train(), processor, options.rate, options.seed)
        write_base(options.out, model, processor, state, options.version)
        return
    loaded, processor = read_base(options.out)
    with warnings.catch_warnings():
        # peft 0.21 still reads a model attribute that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        adapted = get_peft_model(loaded, ADAPTER).train()
    state = fit(options, adapted, processor, ADAPTER_RATE, options.seed + SEED_OF_ADAPTER)
    write_adapter(options.out, adapted, state)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    main()
