"""The text of mid-training: what a base model reads last, when its steps grow small.

====================  ======================================================================================
half                  what
====================  ======================================================================================
``desk``              the reference desk (`problems.desk`): questions about things of other Worlds, looked up
``known``             what everybody should know: new articles, and questions with their answers in many words
====================  ======================================================================================

Reading is a skill and needs many examples side by side; a fact that is to be *answered* has to be asked. Both are
thin in the first text. Recipes for large models end so too: a last phase on chosen text, at a rate that falls to
nothing (Llama 3, arXiv:2407.21783, section 3.4.3; OLMo 2, arXiv:2501.00656, section 4). It is called *mid-training*,
since fine-tuning follows.

Only what can be known counts for the loss: articles, answers, what is read out. The rest is there to be read.

No wording of a question that is kept for tests stands in it. Taught in chapter 07.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..assets import atomic_write, cache_dir
from ..presets import MidSection, MixtureSection, Preset, load
from .conversations.facts import question, statement
from .mixture import SEPARATOR, SourceCount, read_mentions, uncut
from .problems import desk
from .problems.desk import Pieces
from .world.whole.entities import WELL_KNOWN, Encyclopaedia, Entity, invent
from .world.whole.pages import FactWriter
from .world.whole.telling import Teller, answer

if TYPE_CHECKING:
    from ..tokenizer import Tokenizer

Fact = tuple[Entity, str]

# What stands before a question, and between it and its answer.
_FORMS = (("Question: ", " Answer: "), ("Q: ", " A: "), ("", " "), ("", "\n"), ("Who knows? ", " "))


class KnownWriter:
    """Pages about what is well known.

    Args:
        world: All there is; what its pages mention a hundred times and more is told here.
        articles: Their share of the pages …
        notes: … and that of short notes on several things; the others ask and answer.
        rng: Draws everything.
    """

    def __init__(
        self, world: Encyclopaedia, articles: float, notes: float, rng: random.Random
    ) -> None:
        self.rng, self.articles, self.notes = rng, articles, notes
        self.entities = [e for e in world.everything() if e.mentions >= WELL_KNOWN]
        self.writer = FactWriter(rng)

    def page(self) -> tuple[Pieces, list[Fact]]:
        """A page in pieces (text, and whether it counts), and the facts on it."""
        rng = self.rng
        draw = rng.random()
        if draw < self.articles:
            entity = rng.choice(self.entities)
            draft = self.writer.article(entity).draft
            text = "\n".join([draft.title, *draft.paragraphs])
            return [(text, True)], [(entity, r) for r in entity.facts]
        if draw < self.articles + self.notes:
            facts = self._some(rng.randint(4, 8))
            said = [" ".join(Teller(entity, rng).tell([relation])) for entity, relation in facts]
            return [("\n".join(said), True)], facts
        if rng.random() < 0.5:  # everything about one thing: so the questions have to be told apart
            entity = rng.choice(self.entities)
            facts = [(entity, relation) for relation in entity.facts]
            rng.shuffle(facts)
        else:
            facts = self._some(7)
        return self._asked(facts), facts

    def _some(self, n: int) -> list[Fact]:
        """A fact each of several things."""
        some = self.rng.sample(self.entities, min(n, len(self.entities)))
        return [(entity, self.rng.choice(list(entity.facts))) for entity in some]

    def _asked(self, facts: list[Fact]) -> Pieces:
        """A question and its answer for each fact, in one form."""
        before, between = self.rng.choice(_FORMS)
        pieces: Pieces = []
        for entity, relation in facts:
            say = statement if self.rng.random() < 0.5 else answer
            asked, _ = question(entity, relation, self.rng)
            said = f"{' ' * between.endswith(' ')}{say(entity, relation, self.rng)}\n"
            pieces += [(f"{before}{asked}{between.rstrip(' ')}", False), (said, True)]
        return pieces


def mid_folder(preset: Preset) -> Path:
    """Where a preset's text lives in the cache."""
    world = load(preset.need(MidSection).world)
    mark = preset.fingerprint("mid", "shards") + world.fingerprint("mixture")[:4]
    return cache_dir() / "mid" / f"{preset.name}-{mark}"


def prepare_mid(preset: Preset, folder: str | Path | None = None) -> Path:
    """Write a preset's last text, or find it written.

    Args:
        preset: With the sections ``mid`` and ``shards``.
        folder: Where; by default `mid_folder`.

    Returns:
        The folder, with ``train/`` and ``valid/`` (token shards), ``mask/`` (which tokens of ``train/`` count),
        ``tokenizer/`` (the base model's), ``mentions.json.gz`` (how often each fact is told in the base model's text
        and in this one together) and ``mid.json`` (what each half amounts to).

    Raises:
        CourseError: if a section is missing, the base model does not come with the course, or something cannot be
            written.
    """
    from ..model import shipped
    from ..presets import ShardSection
    from ..tokenizer import Tokenizer
    from .shards import write_shards

    folder = Path(folder) if folder is not None else mid_folder(preset)
    if (folder / "mid.json").exists():
        return folder
    section = preset.need(MidSection)
    base = shipped.folder(section.base)
    tokenizer = Tokenizer.load(base)
    documents, told, counts = _documents(section, tokenizer)
    random.Random(section.seed).shuffle(documents)
    held = round(len(documents) * section.held_out)
    per_shard = preset.need(ShardSection).tokens_per_shard
    for name, some in (("valid", documents[:held]), ("train", documents[held:])):
        # Ids and mask go through the same arranging, one above the other.
        both = [
            (np.array([ids, counted], dtype=np.uint32).T, whole) for ids, counted, whole in some
        ]
        stream = np.concatenate(list(uncut(both, section.window)))
        write_shards(
            [stream[:, 0]], folder / name, vocab_size=tokenizer.n_vocab, tokens_per_shard=per_shard
        )
        if name == "train":
            write_shards([stream[:, 1]], folder / "mask", vocab_size=2, tokens_per_shard=per_shard)
    tokenizer.save(folder / "tokenizer")
    mentions = _added(read_mentions(base / "mentions.json.gz"), told)
    with atomic_write(folder / "mentions.json.gz") as temporary:
        text = json.dumps(mentions, ensure_ascii=False)
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
    account = {
        "preset": preset.name,
        "mid": section.model_dump(mode="json"),
        "sources": {name: asdict(count) for name, count in counts.items()},
        "tokens": sum(count.tokens for count in counts.values()),
        "held_out_documents": held,
    }
    with atomic_write(folder / "mid.json") as temporary:
        temporary.write_text(json.dumps(account, indent=1) + "\n")
    return folder


Document = tuple[list[int], list[int], bool]  # ids, what counts, whether it must stay whole


def _documents(
    section: MidSection, tokenizer: Tokenizer
) -> tuple[list[Document], Counter[tuple[str, str]], dict[str, SourceCount]]:
    """The documents, how often each fact is told in them, and what each half amounts to."""
    mixture = load(section.world).need(MixtureSection)
    world = invent(mixture.seed, mixture.size)
    rng = random.Random(section.seed)
    writer = KnownWriter(world, section.articles, section.notes, rng)
    told: Counter[tuple[str, str]] = Counter()
    end = tokenizer.special_tokens[SEPARATOR]
    counts = {"desk": SourceCount(), "known": SourceCount()}
    documents: list[Document] = []

    def known() -> Iterator[Pieces]:
        while True:
            pieces, facts = writer.page()
            told.update((entity.name, relation) for entity, relation in facts)
            yield pieces

    asked = desk.asked(section.tokens, world.names(), section.seed, mixture.size)
    read = (list(one.pieces) for one in asked)
    for name, share, pages in (
        ("desk", section.desk, read),
        ("known", 1 - section.desk, known()),
    ):
        count = counts[name]
        while count.tokens < share * section.tokens:
            pieces = next(pages)
            ids, counted = _encoded(pieces, tokenizer, end)
            documents.append((ids, counted, name == "desk"))
            count.documents += 1
            count.bytes += sum(len(text.encode()) for text, _ in pieces)
            count.tokens += len(ids)
    return documents, told, counts


def _encoded(pieces: Pieces, tokenizer: Tokenizer, end: int) -> tuple[list[int], list[int]]:
    """Ids and a mask. The pieces meet where the tokenizer cuts anyway; the page's end counts as its last piece does."""
    ids, counted = list[int](), list[int]()
    for text, counts in pieces:
        encoded = tokenizer.encode_ordinary(text)
        ids += encoded
        counted += [int(counts)] * len(encoded)
    return [*ids, end], [*counted, counted[-1]]


def _added(
    mentions: Mapping[str, Mapping[str, int]], told: Mapping[tuple[str, str], int]
) -> dict[str, dict[str, int]]:
    """How often each fact is told in both texts together."""
    total = {name: dict(facts) for name, facts in mentions.items()}
    for (name, relation), n in told.items():
        facts = total.setdefault(name, {})
        facts[relation] = facts.get(relation, 0) + n
    return total
