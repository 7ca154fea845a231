"""Which facts are asked in training and which are kept for tests: disjoint by entity, and by wording.

Taught in chapters 08 and 09.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import CourseError
from ..world.whole.entities import Encyclopaedia, Entity

Part = Literal["train", "validation", "held"]
PARTS: tuple[Part, ...] = get_args(Part)
Known = tuple[Entity, str]  # an entity and one of its relations


def part_of(key: str, seed: int = 0) -> Part:
    """The part that something belongs to: 80 % train, 10 % validation, 10 % held out, by a hash."""
    digest = hashlib.blake2b(f"{seed}\n{key}".encode(), digest_size=4).digest()
    place = int.from_bytes(digest, "big") % 10
    return "validation" if place == 8 else "held" if place == 9 else "train"


def wordings(bank: Mapping[str, tuple[str, ...]], beat: str, part: Part) -> Sequence[str]:
    """The wordings of a question that a part may use; no two parts share one.

    Raises:
        CourseError: if the part is unknown or has no wording.
    """
    if part not in PARTS:
        raise CourseError(f"unknown part {part!r}", hint="parts are " + ", ".join(PARTS))
    lines = bank[beat] if part == "train" else bank[f"{beat}-held"][part == "held" :: 2]
    if not lines:
        raise CourseError(f"{beat} has no wording for the part {part!r}")
    return lines


@dataclass(frozen=True)
class Split:
    """Facts, dealt out.

    Attributes:
        train: Asked in fine-tuning.
        validation: Of other entities: looked at during the run.
        held: Of yet other entities: the test.
        reserved: Of the entities of ``train``, and asked in tests only: known from pretraining, unseen since.
    """

    train: tuple[Known, ...]
    validation: tuple[Known, ...]
    held: tuple[Known, ...]
    reserved: tuple[Known, ...]


def split(
    world: Encyclopaedia, mentions: Mapping[str, Mapping[str, int]], least: int, seed: int = 0
) -> Split:
    """Deal out the facts that were told at least ``least`` times in pretraining.

    Facts told less often are left out: asking for what a model does not know teaches it to invent.

    Raises:
        CourseError: if a part would be empty.
    """
    dealt: dict[str, list[Known]] = {name: [] for name in (*PARTS, "reserved")}
    for entity in world.everything():
        part = part_of(entity.name, seed)
        for relation in entity.facts:
            if mentions.get(entity.name, {}).get(relation, 0) < least:
                continue
            kept = part == "train" and part_of(f"{entity.name}\n{relation}", seed) == "held"
            dealt["reserved" if kept else part].append((entity, relation))
    for name, facts in dealt.items():
        if not facts:
            raise CourseError(
                f"no fact with {least} mentions is left for {name!r}", hint="ask for fewer mentions"
            )
    return Split(*(tuple(dealt[name]) for name in ("train", "validation", "held", "reserved")))
