"""A base model's report: how well it predicts, what it knows, what it recites.

    llmcourse eval base work/run/model --mixture work/mixture

writes one JSON object, which is shipped beside the course model's weights: the measurements that need the whole
training text, or more time than a chapter has, are made once, by this file.

Taught in chapter 07.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.mixture import SEPARATOR, read_mentions
from ..errors import CourseError
from .knowledge import (
    BANDS,
    Question,
    by_guessing,
    by_mentions,
    is_right,
    names_the_answer,
    possible_answers,
    questions,
)

HELD_OUT_BYTES = 200_000
"""So much of the held-out text is predicted."""


def held_out_texts(path: str | Path, limit: int = HELD_OUT_BYTES) -> list[str]:
    """The first documents of ``valid.txt``, at least one, together hardly more than `limit` bytes."""
    texts, size = list[str](), 0
    for text in Path(path).read_text(encoding="utf-8").split(SEPARATOR):
        size += len(text.encode())
        if texts and size > limit:
            break
        texts.append(text)
    return texts


def continuer(model: Any, tokenizer: Any, streams: int = 64) -> Any:
    """A function that lets a model go on greedily after each of many prompts.

    Each prompt is put after an end of text, as every document was in training.
    """
    from ..engine import Engine, Sampling

    engine = Engine(model, tokenizer, max_streams=streams)
    end = tokenizer.special_tokens[SEPARATOR]

    def go_on(prompts: Sequence[str], max_tokens: int) -> list[str]:
        ids = [[end, *tokenizer.encode_ordinary(prompt)] for prompt in prompts]
        done = engine.generate(
            ids, Sampling(temperature=0), max_tokens=max_tokens, stop_tokens=[end]
        )
        return [generation.text for generation in done]

    return go_on


def token_continuer(model: Any, tokenizer: Any, streams: int = 64) -> Any:
    """The same for ids."""
    from ..engine import Engine, Sampling

    engine = Engine(model, tokenizer, max_streams=streams)
    end = tokenizer.special_tokens[SEPARATOR]

    def go_on(prompts: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
        ids = [[end, *prompt] for prompt in prompts]
        done = engine.generate(ids, Sampling(temperature=0), max_tokens=max_tokens)
        return [list(generation.ids) for generation in done]

    return go_on


def recall(model: Any, tokenizer: Any, asked: Sequence[Question], world: Any) -> dict[str, Any]:
    """Facts known by number of mentions, also those known to the letter, and what guessing would come to."""
    texts = continuer(model, tokenizer)([question.prompt for question in asked], 24)
    possible = possible_answers(world)

    def shares(right: list[bool]) -> list[dict[str, Any]]:
        return [
            {
                "band": s.label,
                "right": s.right,
                "of": s.of,
                "share": s.value,
                "interval": s.interval(),
            }
            for s in by_mentions(asked, right)
        ]

    pairs = list(zip(asked, texts, strict=True))
    guess = [
        by_guessing(world, [q for q in asked if low <= q.mentions <= high]).value
        for low, high in BANDS
    ]
    return {
        "known": shares([names_the_answer(q, text, possible) for q, text in pairs]),
        "to_the_letter": shares([is_right(q.answer, text) for q, text in pairs]),
        "guessing": guess,
    }


def recitals(model: Any, tokenizer: Any, seed: int = 0, prompt: int = 24) -> list[dict[str, Any]]:
    """How much of the notices the model recites, by their number of copies."""
    from ..data.world.whole.notices import notices
    from .memorisation import recite

    everything = notices(seed)
    ids = [tokenizer.encode_ordinary(notice.text) for notice in everything]
    read = recite(ids, token_continuer(model, tokenizer), prompt=prompt)
    rows = []
    for copies in dict.fromkeys(notice.copies for notice in everything):
        mine = [r for r, notice in zip(read, everything, strict=True) if notice.copies == copies]
        rows.append(
            {
                "copies": copies,
                "notices": len(mine),
                "tokens_right": sum(r.right for r in mine) / sum(r.tokens for r in mine),
                "recited_whole": sum(r.whole for r in mine) / len(mine),
                "tokens_until_mistake": sum(r.until_mistake for r in mine) / len(mine),
            }
        )
    return rows


def evaluate(
    model: Any,
    tokenizer: Any,
    mixture: str | Path,
    *,
    per_band: int = 300,
    seeds: Sequence[int] = (0, 1, 2),
    ngram: bool = True,
) -> dict[str, Any]:
    """Everything that is measured of a base model.

    Args:
        model: The model.
        tokenizer: Its own.
        mixture: The folder that `prepare_mixture` made.
        per_band: Facts asked of each band of mentions …
        seeds: … drawn with each of these seeds.
        ngram: Whether to count 5-grams over the whole training text as well (some GB of memory).

    Raises:
        CourseError: if the mixture's folder lacks something.
    """
    import json

    from ..data.shards import ShardSet
    from ..data.world.whole import invent
    from .bits_per_byte import score
    from .compressors import compressed_bits_per_byte
    from .ngram import NGram

    mixture = Path(mixture)
    if not (mixture / "mixture.json").exists():
        raise CourseError(
            f"{mixture} is no finished mixture",
            hint="llmcourse data mixture --preset course-laptop",
        )
    account = json.loads((mixture / "mixture.json").read_text())
    world = invent(account["mixture"]["seed"], account["mixture"]["size"])
    mentions = read_mentions(mixture / "mentions.json.gz")
    texts = held_out_texts(mixture / "valid.txt")
    predicted = score(model, tokenizer, texts)
    rivals = compressed_bits_per_byte(SEPARATOR.join(texts))
    if ngram:
        shards = ShardSet.open(mixture / "train")
        counts = NGram(shards.read(0, len(shards)), tokenizer.n_vocab)
        end = tokenizer.special_tokens[SEPARATOR]
        bits = 0.0
        for text in texts:
            bits -= float(
                counts.log2_probabilities([end, *tokenizer.encode_ordinary(text)])[1:].sum()
            )
        rivals["5-gram, Kneser-Ney"] = bits / predicted.bytes
    return {
        "held_out": {"bytes": predicted.bytes, "tokens": predicted.tokens, "documents": len(texts)},
        "bits_per_byte": {"model": predicted.bits_per_byte, **rivals},
        "loss": predicted.loss,
        "recall": {
            str(seed): recall(
                model, tokenizer, questions(world, mentions, per_band=per_band, seed=seed), world
            )
            for seed in seeds
        },
        "bands": BANDS,
        "recitals": recitals(model, tokenizer, account["mixture"]["seed"]),
        "training_text": account,
    }
