"""The World, whole: an encyclopaedia large enough to raise a model on, of which every fact is counted.

Chapter 01's World is a few hundred pages with all the dirt of a crawl. This one is the country that
lies behind it: some five thousand people, towns, rivers, books …, about eight facts each, told on
tens of thousands of pages of many kinds, a few facts hundreds of times and most of them once or twice,
as on the real web. Because the program that writes it knows what it writes, "how often did the model
read this?" is a look-up.

How it is made, one file a step: ``kinds`` says what there is to know, ``entities`` draws them,
``telling`` puts facts into sentences and questions, ``pages`` sentences into pages, ``tales`` writes pages
without facts, ``library`` decides which page tells what, ``archive`` puts it all into a WARC file.
``notices`` are documents to be repeated.

Taught in chapters 06 and 07.
"""

from __future__ import annotations

from .entities import Encyclopaedia, Entity, invent

__all__ = ["Encyclopaedia", "Entity", "invent"]
