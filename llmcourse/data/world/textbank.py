"""Reads the text files beside this package: sentences grouped into beats, and small tables.

A bank is a text file that a writer can edit without knowing Python::

    # a comment
    == birth needs: born birthplace
    {full} was born in {birthplace} in {born}.
    In {born}, in [a room|the attic] above a shop in {birthplace}, {full} came into the world.

Each line under a heading is one way of saying the same thing; ``needs:`` names the slots that every
line must fill, so that no line can forget a fact. A record is a heading with ``key: value`` lines.
"""

from __future__ import annotations

from functools import cache
from importlib import resources


def _sections(name: str) -> list[tuple[str, list[str]]]:
    text = (resources.files(__package__) / "text" / f"{name}.txt").read_text(encoding="utf-8")
    sections: list[tuple[str, list[str]]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("== "):
            sections.append((line[3:], []))
        elif not sections:
            raise ValueError(f"{name}.txt, line {number}: a line before the first heading")
        else:
            sections[-1][1].append(line)
    return sections


@cache
def load_bank(name: str) -> dict[str, tuple[str, ...]]:
    """The beats of ``text/<name>.txt``: beat → its sentences, in the file's order.

    Raises:
        ValueError: If a beat is empty or defined twice, or a line lacks a slot that it needs.
    """
    bank: dict[str, tuple[str, ...]] = {}
    for heading, lines in _sections(name):
        beat, _, needs = heading.partition(" needs: ")
        if beat in bank or not lines:
            raise ValueError(f"{name}.txt: beat {beat!r} is empty or defined twice")
        for line in lines:
            missing = [slot for slot in needs.split() if f"{{{slot}}}" not in line]
            if missing:
                raise ValueError(f"{name}.txt, {beat}: no {missing} in {line!r}")
        bank[beat] = tuple(lines)
    return bank


@cache
def load_records(name: str) -> dict[str, dict[str, str]]:
    """The records of ``text/<name>.txt``: heading → its fields.

    Raises:
        ValueError: If a line is not ``key: value`` or the records differ in their keys.
    """
    records: dict[str, dict[str, str]] = {}
    for heading, lines in _sections(name):
        fields = dict(line.split(": ", 1) for line in lines)
        if heading in records or len(fields) != len(lines):
            raise ValueError(f"{name}.txt: record or key of {heading!r} given twice")
        records[heading] = fields
    keys = {heading: sorted(fields) for heading, fields in records.items()}
    if len({tuple(k) for k in keys.values()}) > 1:
        raise ValueError(f"{name}.txt: records differ in their keys: {keys}")
    return records
