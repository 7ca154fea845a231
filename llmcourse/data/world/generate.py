"""Makes a World: invents, writes, dirties, publishes. Read this file first, from top to bottom."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle, islice

from llmcourse.data.world.country import Country, invent
from llmcourse.data.world.dirt import SPAM, DirtWriter, exact_copy, near_copy
from llmcourse.data.world.foreign import LANGUAGES, ForeignWriter
from llmcourse.data.world.grammar import Shelf
from llmcourse.data.world.model import World
from llmcourse.data.world.personal import Planter
from llmcourse.data.world.publish import BLOCKED_DOMAINS, HOSTS, Publisher
from llmcourse.data.world.writing.articles import ArticleWriter
from llmcourse.data.world.writing.draft import Draft, Novelty, lettered, write_fresh
from llmcourse.data.world.writing.lists import SORTS, ListWriter
from llmcourse.data.world.writing.tales import TaleWriter, titles
from llmcourse.errors import CourseError

FEWEST, MOST = 60, 600
# Good pages in 300: each of the first seven is about one entity of its own.
SHARES = {
    "people": 66,
    "towns": 40,
    "animals": 26,
    "dishes": 22,
    "festivals": 22,
    "rivers": 20,
    "crafts": 20,
    "stories": 26,
    "threads": 26,
    "diaries": 20,
    "lists": 12,
}
# The site on which each section of good pages appears.
SECTION_HOST = {
    "stories": "stories.world.example",
    "threads": "forum.world.example",
    "diaries": "diaries.world.example",
    "lists": "almanac.world.example",
    "dishes": "almanac.world.example",
    "crafts": "almanac.world.example",
}
_ENCYCLOPAEDIA = "encyclopaedia.world.example"
_MIRROR = "mirror.halvern.example"
_BLOCKED_HOSTS = {
    "cards": ["golden-goose-casino.example", "cards.golden-goose-casino.example"],
    "evening": ["velvet-lantern-nights.example", "late-hours-lounge.example"],
    "money": ["quick-crown-loans.example"],
    "luck": ["lucky-wheel-slots.example"],
}
_SPAM_HOSTS = ("forum.world.example", "diaries.world.example", "almanac.world.example")


def _numbers(articles: int) -> dict[str, int]:
    """How many of each, in the proportions of :data:`SHARES`."""
    return {name: max(4, round(share * articles / 300)) for name, share in SHARES.items()}


def _good_drafts(
    country: Country, numbers: dict[str, int], shelf: Shelf, rng: random.Random
) -> list[Draft]:
    """The articles, stories, threads, diaries and lists, none of them much like another."""
    articles, tales = ArticleWriter(country, shelf, rng), TaleWriter(country, shelf, rng)
    lists = ListWriter(country, shelf, rng)
    tasks: list[Callable[[], Draft]] = [
        lambda entity=entity: articles.write(entity)  # type: ignore[misc]
        for entity in country.entities()
    ]
    for write, plots, section in (
        (tales.story, list(titles("story")), "stories"),
        (tales.thread, list(titles("forum")), "threads"),
        (tales.diary, list(titles("diary")), "diaries"),
        (lists.write, list(SORTS), "lists"),
    ):
        for plot in islice(cycle(plots), numbers[section]):
            tasks.append(lambda write=write, plot=plot: write(plot))  # type: ignore[misc]
    novelty = Novelty()
    return [write_fresh(task, novelty) for task in tasks]


def _add_duplicates(publisher: Publisher, good: list[str], n: int, rng: random.Random) -> None:
    """``n`` exact and ``n`` near copies, each of an original of its own.

    One copy of an original at most: trafilatura forgets a paragraph that it has seen three times.
    """
    originals = rng.sample(good, len(good))
    for turn in range(n):
        original = publisher.placed[originals.pop()]
        copy = exact_copy(original.draft)
        if turn % 3 == 0:
            publisher.place(copy, _MIRROR, f"/copies{original.path}", original.url)
        elif turn % 3 == 1:
            path = f"/print{original.path}"
            publisher.place(copy, original.host, path, original.url, template="printed")
        else:
            path = f"{original.path}?from=mail&visit={rng.randint(1000, 9999)}"
            publisher.place(copy, original.host, path, original.url)
    made = 0
    while made < n:
        original = publisher.placed[originals.pop()]
        draft = original.draft
        if draft.emails or draft.phones or draft.ips or draft.lookalikes:
            continue  # an edited number would no longer be the one that is on record
        near = near_copy(draft, rng)
        if near is not None:
            host = _MIRROR if made % 2 else original.host
            publisher.place(near, host, f"/{1990 + made % 30}{original.path}", original.url)
            made += 1


def _plant(drafts: list[Draft], planter: Planter, articles: int, rng: random.Random) -> None:
    """Personal data in two pages of fifteen, look-alikes in one of ten.

    Threads are signed; below articles and lists there may be a line about whom to ask.
    """
    roomy = [d for d in drafts if lettered(d.text) > 0.85]  # numbers are words without letters
    threads = [d for d in roomy if d.kind == "forum"]
    others = [d for d in roomy if d.kind in ("article", "list")]
    signed = rng.sample(threads, min(len(threads), articles // 25))
    for draft in [*signed, *rng.sample(others, articles * 2 // 15 - len(signed))]:
        planter.plant(draft)
    for draft in rng.sample(others, articles // 10):
        planter.plant_lookalike(draft)


def generate(seed: int, articles: int) -> World:
    """The work of :meth:`llmcourse.data.world.World.generate`, which see."""
    if not FEWEST <= articles <= MOST:
        raise CourseError(
            f"a World of {articles} articles cannot be written",
            f"ask for {FEWEST} to {MOST}; there are not enough different sentences for more",
        )
    rng = random.Random(seed)
    numbers = _numbers(articles)
    country = invent(rng, numbers)
    shelf = Shelf(rng)
    publisher = Publisher(country.entities(), rng)

    drafts = _good_drafts(country, numbers, shelf, rng)
    planter = Planter([person.last for person in country.people], shelf, rng)
    _plant(drafts, planter, articles, rng)
    good = [
        publisher.place(draft, SECTION_HOST.get(draft.section, _ENCYCLOPAEDIA)).url
        for draft in drafts
    ]

    _add_duplicates(publisher, good, max(3, articles // 12), rng)
    dirt, foreign = DirtWriter(country, shelf, rng), ForeignWriter(country, shelf, rng)
    for language in islice(cycle(LANGUAGES), max(len(LANGUAGES), articles // 5)):
        publisher.place(
            foreign.page(language), "voices.world.example", encoding=LANGUAGES[language]
        )
    for number, language in zip(range(max(6, articles // 50)), cycle(LANGUAGES), strict=False):
        publisher.place(foreign.mixed(language, 2 + number), "voices.world.example")
    for sort, host in islice(
        zip(cycle(SPAM), cycle(_SPAM_HOSTS), strict=False), max(7, articles // 15)
    ):
        publisher.place(dirt.spam(sort), host, template="blog")
    for number, topic in zip(range(max(8, articles // 15)), cycle(_BLOCKED_HOSTS), strict=False):
        choice = _BLOCKED_HOSTS[topic]
        publisher.place(dirt.blocked(topic), choice[number // len(_BLOCKED_HOSTS) % len(choice)])
    for host in islice(cycle([*SECTION_HOST.values(), _ENCYCLOPAEDIA]), max(5, articles // 20)):
        publisher.place(dirt.thin(), host, template="encyclopaedia")
    for host, how in HOSTS.items():
        publisher.place(dirt.private(), host, f"{how.forbidden}{rng.randint(100, 999)}")

    facts = [fact for entity in country.entities() for fact in entity.facts()]
    return World(seed, publisher.publish(), facts, BLOCKED_DOMAINS)
