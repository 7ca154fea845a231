"""The World: an invented country, and a small web about it of which everything is known.

A filter can only be measured against the truth. The real web comes without it, so chapter 01 also
crawls a web that was written by a program: an encyclopaedia of the country of Halvern, with a forum,
diaries, stories and an almanac, and with all the dirt of the real thing. Each page is labelled, each
duplicate knows its original, each planted e-mail address is on record, each fact agrees on all pages.

::

    from llmcourse.data.world import World

    world = World.generate(seed=0, articles=300)
    page = next(world.good_pages())
    print(page.url, page.text)

How it is made, one file a step: ``inventor`` draws the ``country``'s ``entities`` and ``things``,
``writing`` turns their facts into pages with the sentence banks in ``text/``, ``personal``, ``dirt`` and
``foreign`` add what a crawler really finds, ``publish`` and ``html`` put everything on sites.
``generate`` shows the whole in order.

Taught in chapter 01.
"""

from __future__ import annotations

from llmcourse.data.world.model import (
    DIRT_KINDS,
    GOOD_KINDS,
    KINDS,
    Fact,
    Page,
    Site,
    World,
)

__all__ = ["DIRT_KINDS", "GOOD_KINDS", "KINDS", "Fact", "Page", "Site", "World"]
