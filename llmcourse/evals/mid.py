"""What mid-training changed: the same questions to the model before it and after it.

    llmcourse eval mid work/mid/model --out work/mid/evaluation.json

writes one JSON object, which is shipped beside the weights. Taught in chapter 07.
"""

from __future__ import annotations

import gzip
from typing import Any

from ..data.conversations.split import split
from ..data.conversations.stages import KNOWN_FROM
from ..data.mixture import SEPARATOR, read_mentions
from ..data.world.whole import invent
from ..model import pretrained, shipped
from ..presets import MixtureSection, load
from .base_model import continuer
from .bits_per_byte import bits_per_byte
from .knowledge import Share, by_mentions, names_the_answer, possible_answers, questions
from .reading import answering, at_the_desk, reading

SEEDS = (0, 1, 2)
"""Draws of facts and clozes."""


def report(
    base: str,
    model: str,
    preset: str,
    *,
    per_band: int = 300,
    n_desk: int = 150,
    n_pages: int | None = None,
) -> dict[str, Any]:
    """All of it, for both models.

    Args:
        base: The model before: one of the course's, with its account of mentions and its held-out text.
        model: The model after; a name or a folder.
        preset: Whose World.
        per_band: Facts asked by clozes of each band of mentions in the *base* model's text, in each of three draws.
        n_desk: Things to read out, of each sort.
        n_pages: Held-out pages to predict; by default all that are shipped.
    """
    folder = shipped.folder(base)
    mixture = load(preset).need(MixtureSection)
    world = invent(mixture.seed, mixture.size)
    mentions = read_mentions(folder / "mentions.json.gz")
    possible = possible_answers(world)
    parts = split(world, mentions, KNOWN_FROM)
    desk = at_the_desk(world, n_desk, size=mixture.size)
    held_out = gzip.decompress((folder / "held-out.txt.gz").read_bytes()).decode("utf-8")
    found: dict[str, Any] = {"base": base, "preset": preset}
    for when, name in (("before", base), ("after", model)):
        loaded = pretrained.load(name)
        go_on = continuer(loaded.model, loaded.tokenizer)
        rows: dict[str, Any] = {}
        for seed in SEEDS:
            asked = questions(world, mentions, per_band=per_band, seed=seed)
            right = [
                names_the_answer(q, text, possible)
                for q, text in zip(asked, go_on([q.prompt for q in asked], 24), strict=True)
            ]
            for share in by_mentions(asked, right):
                rows[f"told {share.label} times, draw {seed}"] = _row(share)
        rows |= {f"desk: {sort}": _row(share) for sort, share in reading(go_on, desk).items()}
        for pile, facts in (("reserved", parts.reserved), ("held-out", parts.held)):
            for part in ("train", "held"):
                wordings = "seen" if part == "train" else "unseen"
                share = answering(go_on, facts, part)
                rows[f"{pile} facts, {wordings} wordings"] = _row(share)
        texts = held_out.split(SEPARATOR)[:n_pages]
        rows["bits per byte of held-out pages"] = bits_per_byte(
            loaded.model, loaded.tokenizer, texts
        )
        found[when] = rows
    return found


def _row(share: Share) -> dict[str, Any]:
    return {
        "right": share.right,
        "of": share.of,
        "share": share.value,
        "interval": share.interval(),
    }
