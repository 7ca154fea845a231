"""Plants personal data in good pages, and things that only look like it.

Every value is from a range reserved for examples: domains under ``example`` (RFC 2606), telephone
numbers 555-01xx and 020 7946 0xxx, IPv4 addresses from the documentation blocks (RFC 5737).
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

from llmcourse.data.world.grammar import Shelf
from llmcourse.data.world.names import MEN, WOMEN
from llmcourse.data.world.writing.draft import Draft

_DOMAINS = (
    "example.com",
    "example.org",
    "example.net",
    "mail.example.org",
    "post.world.example",
    "archive.halvern.example",
)
_AREAS = ("202", "283", "312", "415", "503", "617", "702", "808")


def ascii_only(text: str) -> str:
    """*Galével* → *Galevel*."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


class Planter:
    """Makes up contact data, never twice the same, and writes it into drafts."""

    def __init__(self, surnames: list[str], shelf: Shelf, rng: random.Random) -> None:
        self._surnames = [ascii_only(name) for name in surnames]
        self._shelf, self._rng = shelf, rng
        self._phones = self._numbers()
        self._hosts = self._addresses()
        self._used: set[str] = set()
        self._turn = 0

    def email(self) -> str:
        """An address at an example domain: plain, with a plus, with digits, with capitals."""
        rng = self._rng
        while True:
            first, last = rng.choice(WOMEN + MEN).lower(), rng.choice(self._surnames)
            local = rng.choice(
                [
                    f"{first}.{last.lower()}",
                    f"{first}+halvern",
                    f"{first[0].upper()}.{last}",
                    f"{last.lower()}{rng.randint(3, 99)}",
                    f"{first}_{last.lower()}",
                    f"{first}-{last.lower()}+post",
                ]
            )
            address = f"{local}@{rng.choice(_DOMAINS)}"
            if address not in self._used:
                self._used.add(address)
                return address

    def _numbers(self) -> Iterator[str]:
        """Every reserved number once, in eight ways of writing it by turns."""
        pairs = [(area, f"{n:04d}") for area in _AREAS for n in range(100, 200)]
        self._rng.shuffle(pairs)
        for turn, (area, line) in enumerate(pairs):
            yield (
                f"({area})-555-{line}",
                f"{area}-555-{line}",
                f"{area}555{line}",
                f"({area}) 555-{line}",
                f"{area}.555.{line}",
                f"+1 ({area}) 555-{line}",
                f"+44 20 7946 {(turn * 37 + 958) % 1000:04d}",
                f"+1-{area}-555-{line}",
            )[turn % 8]

    def _addresses(self) -> Iterator[str]:
        """Documentation addresses in a random order."""
        blocks = ("192.0.2", "198.51.100", "203.0.113")
        addresses = [f"{block}.{host}" for block in blocks for host in range(1, 255)]
        self._rng.shuffle(addresses)
        yield from addresses

    def _append(self, draft: Draft, sentence: str) -> None:
        # Below an article stands a line of its own; in a thread somebody signs a post with it.
        if draft.layout == "posts":
            post = self._rng.randrange(1, len(draft.paragraphs))
            draft.paragraphs[post] += f" {sentence}"
        elif self._rng.random() < 0.5:
            draft.paragraphs.append(sentence)
        else:
            draft.paragraphs[-1] += f" {sentence}"

    def plant(self, draft: Draft) -> None:
        """Writes one to three pieces of personal data into the prose, and notes them."""
        rng = self._rng
        kinds = ("email", "phone", "ip")
        first = kinds[self._turn % 3]
        self._turn += 1
        others = [kind for kind in kinds if kind != first and rng.random() < 0.35]
        said: set[str] = set()
        for kind in [first, *others]:
            beat = f"forum-{kind}" if draft.layout == "posts" else kind
            template = self._shelf.take("personal", beat, said)
            said.add(template)
            values = {}
            if "{email}" in template:
                values["email"] = self.email()
                draft.emails.append(values["email"])
            if "{phone}" in template:
                values["phone"] = next(self._phones)
                draft.phones.append(values["phone"])
            if "{ip}" in template:
                values["ip"] = next(self._hosts)
                draft.ips.append(values["ip"])
            self._append(draft, template.format_map(values))

    def plant_lookalike(self, draft: Draft) -> None:
        """Writes in something that a careless mask would take for personal data."""
        rng = self._rng
        values = {
            "isbn": f"978-{rng.randint(0, 9)}-{rng.randint(1000, 9999)}-"
            f"{rng.randint(1000, 9999)}-{rng.randint(0, 9)}",
            "years": f"{rng.randint(1850, 1869)}-{rng.randint(1870, 1899)}",
            "number": f"{rng.randint(10, 99)}-{rng.randint(100, 999)}",
            "time": f"{rng.randint(8, 12)}:{rng.choice(['00', '15', '30', '45'])}",
            "year": str(rng.randint(1890, 1960)),
            "buns": str(rng.randint(3, 12)),
            "version": f"{rng.randint(1, 9)}.{rng.randint(0, 9)}.{rng.randint(0, 19)}",
            "price": f"{rng.randint(1, 9)},{rng.randint(100, 999)} crowns",
            "fake_ip": rng.choice(["999.1.1.1", "1.2.3", "300.400.500.600", "12.345.6"]),
        }
        template = self._shelf.take("personal", "lookalike", set())
        self._append(draft, template.format_map(values))
        draft.lookalikes += [value for key, value in values.items() if f"{{{key}}}" in template]
