"""The data room: from a crawl of the web to clean text, as FineWeb makes it.

Read it in the order in which a page travels:

- ``sites``: two sites served on this machine, so that there is something to crawl;
- ``frontier``, ``robots``, ``fetch``, ``crawl``: a small honest crawler, which writes a WARC file;
- ``warc``: reading a WARC file back, damage and all;
- ``html``, ``language``, ``privacy``, ``quality``, ``dedup``: what each filter does, as plain
  functions;
- ``steps``, ``fineweb``, ``report``: the whole pipeline on datatrove, and the account it gives of
  itself.

Nothing is imported here: every module brings in its own libraries when it is needed.

Taught in chapter 01.
"""
