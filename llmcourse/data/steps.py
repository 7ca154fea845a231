"""Steps for datatrove: where its own would read the network, stop at damage, or not say why.

Everything that FineWeb's recipe takes from datatrove unchanged (its Gopher, C4 and FineWeb filters,
the MinHash stages) is used as it is in ``fineweb``; here is the rest.

Taught in chapter 01.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datatrove.data import Document
from datatrove.io import get_datafolder
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupSignature
from datatrove.pipeline.extractors.base import ExtractorSandbox
from datatrove.pipeline.filters import URLFilter
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.writers.disk_base import DiskWriter

from .html import decode_html, main_text
from .jsonl import read_jsonl
from .language import identify_language
from .privacy import mask_emails, mask_ip_addresses, mask_phone_numbers
from .warc import Damage, scan_warc

Documents = Iterable[Any]


class ReadWarc(PipelineStep):  # type: ignore[misc]
    """Web pages from WARC files, damaged records counted and passed over.

    A task takes whole files where there are enough of them, and otherwise every n-th page of all,
    so that one file keeps several cores busy. Each page carries its place in the crawl as
    ``order``, by which everything later decides what came first, whatever the number of tasks.

    Args:
        inputs: Files, addresses or Common Crawl paths.
        damage: Where records that could not be read are noted.
    """

    type = "📖 - READER"
    name = "WARC, damage tolerated"

    def __init__(self, inputs: list[str], damage: DiskWriter) -> None:
        super().__init__()
        self.inputs, self.damage = inputs, damage

    def run(
        self, data: Documents | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Any]:
        whole_files = len(self.inputs) >= world_size
        with self.damage:
            for i, path in enumerate(self.inputs):
                if whole_files and i % world_size != rank:
                    continue
                for k, item in enumerate(scan_warc(path)):
                    if not whole_files and k % world_size != rank:
                        continue
                    place = {"order": [i, k], "warc": path, "offset": item.offset}
                    if isinstance(item, Damage):
                        self.stat_update("damaged")
                        note = {"url": "", "filter_reason": item.reason, "html_bytes": 0}
                        self.damage.write(
                            Document("", f"damage-{i}-{k}", metadata=note | place), rank
                        )
                        continue
                    about = {"url": item.url, "date": item.date, "html_bytes": len(item.html)}
                    html = decode_html(item.html, item.charset)
                    yield Document(html, item.record_id, metadata=about | place)


class BlockedDomains(URLFilter):  # type: ignore[misc]
    """Drop pages by their address: a blocked domain, and every host below it.

    datatrove's filter looks at the registered domain and at the full host name only, and finds
    neither for a host whose ending is on no public list (``.example``, ``.internal``).

    Args:
        domains: Blocked domains, in lower case.
        builtin_lists: Also apply datatrove's own lists, as FineWeb did. Reading them takes a
            quarter of a minute for each task.
        dropped: Where dropped pages are written.
    """

    name = "😈 Blocked domains"

    def __init__(self, domains: Iterable[str], builtin_lists: bool, dropped: DiskWriter) -> None:
        super().__init__(use_integrated_lists=builtin_lists, exclusion_writer=dropped)
        from tldextract import TLDExtract

        self.tldextractor = TLDExtract(
            suffix_list_urls=(), cache_dir=None
        )  # its own list, not the network's
        self.domains = frozenset(domains)

    def filter(self, document: Any) -> bool | tuple[bool, str]:
        host = (urlsplit(document.metadata["url"]).hostname or "").rstrip(".")
        labels = host.split(".")
        if any(".".join(labels[i:]) in self.domains for i in range(len(labels))):
            return False, "blocked domain"
        if not self.use_integrated_lists:
            return True
        verdict: bool | tuple[bool, str] = super().filter(document)
        return verdict


class ExtractText(PipelineStep):  # type: ignore[misc]
    """HTML to text with Trafilatura, in a process of its own that is given up when a page hangs it.

    Args:
        dropped: Where pages without text are written, with the reason.
        timeout: Seconds for a page. Generous, so that a busy machine loses no page by chance.
    """

    type = "🛢 - EXTRAC"
    name = "⛏ Trafilatura"
    _requires_dependencies = ("trafilatura",)

    def __init__(self, dropped: DiskWriter, timeout: float = 30.0) -> None:
        super().__init__()
        self.exclusion_writer, self.timeout = dropped, timeout

    def run(self, data: Documents, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        with self.exclusion_writer as dropped, ExtractorSandbox(timeout=self.timeout) as sandbox:
            for doc in data:
                reason, text = "no text found", ""
                with self.track_time():
                    try:
                        text = sandbox.process_document(doc.text, main_text)
                    except TimeoutError:
                        reason = f"took longer than {self.timeout:.0f} s"
                    except EOFError:
                        reason = "crashed the parser"
                if text:
                    doc.text = text
                    yield doc
                else:
                    doc.metadata["filter_reason"] = reason
                    dropped.write(doc, rank)


class KeepLanguage(BaseFilter):  # type: ignore[misc]
    """Keep pages of one language that the model is sure enough of (datatrove's filter downloads its
    model).

    Args:
        language: ISO 639 code.
        threshold: Least score; FineWeb's is 0.65.
        dropped: Where the others are written; the reason names their language.
    """

    name = "🌍 Language"

    def __init__(self, language: str, threshold: float, dropped: DiskWriter) -> None:
        super().__init__(dropped)
        self.language, self.threshold = language, threshold

    def filter(self, doc: Any) -> bool | tuple[bool, str]:
        code, score = identify_language(doc.text)
        doc.metadata["language"], doc.metadata["language_score"] = code, round(score, 4)
        if code != self.language:
            return False, f"language {code}"
        return True if score >= self.threshold else (False, f"{code}, but not sure enough")


class MaskPersonalData(PipelineStep):  # type: ignore[misc]
    """Replace e-mail addresses, IP addresses and telephone numbers, and note how many."""

    type = "✂️ - FORMAT"
    name = "📞 Personal data"

    def run(self, data: Documents, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        masks = {"emails": mask_emails, "ips": mask_ip_addresses, "phones": mask_phone_numbers}
        for doc in data:
            counts = {}
            with self.track_time():
                for what, mask in masks.items():
                    doc.text, counts[what] = mask(doc.text)
            doc.metadata["masked"] = counts
            yield doc


class ReadBack(PipelineStep):  # type: ignore[misc]
    """The documents that the same task wrote in an earlier stage; none if it wrote none.

    datatrove's JSONL reader deals files out anew and fails when there is no file at all.

    Args:
        folder: Where they are.
    """

    type = "📖 - READER"
    name = "own documents"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(
        self, data: Documents | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Any]:
        for record in read_jsonl(Path(self.folder) / f"{rank:05d}.jsonl.gz"):
            yield Document(record["text"], record.get("id", ""), metadata=record["metadata"])


class OrderedSignatures(MinhashDedupSignature):  # type: ignore[misc]
    """datatrove's first MinHash stage, noting each document's place in the crawl as well."""

    def run(self, data: Documents, rank: int = 0, world_size: int = 1) -> None:
        order: list[int] = []

        def noted() -> Iterator[Any]:
            for doc in data:
                order.extend(doc.metadata["order"])
                yield doc

        super().run(noted(), rank, world_size)
        with self.output_folder.open(f"order/{rank:06d}.order", "wb") as file:
            file.write(struct.pack(f"<{len(order)}Q", *order))


class KeepFirst(MinhashDedupCluster):  # type: ignore[misc]
    """datatrove's third MinHash stage, made to keep the document of each cluster that was crawled
    first.

    Its own choice is the root of a union-find tree, which depends on how the documents were spread
    over tasks. The clusters themselves do not; so they are read back, and the lists of documents to
    remove are written anew.

    Args:
        signatures: Where `OrderedSignatures` wrote.
        pairs: Where datatrove's second stage wrote.
        output: Where the lists go.
        config: datatrove's MinhashConfig.
    """

    def __init__(self, signatures: str, pairs: str, output: str, config: Any) -> None:
        super().__init__(pairs, output, config=config, save_cluster_id=True)
        self.signatures = get_datafolder(signatures)

    def run(self, data: Documents | None = None, rank: int = 0, world_size: int = 1) -> None:
        super().run(data, rank, world_size)
        clusters: dict[int, list[tuple[tuple[int, ...], int, int]]] = {}
        tasks = [name for name in self.output_folder.list_files() if name.endswith(".clusters")]
        for name in tasks:
            task = int(name.removesuffix(".clusters"))
            order = self._numbers(self.signatures, f"order/{name[:6]}.order", "Q")
            pairs = self._numbers(self.output_folder, name, "I")
            for doc, cluster in zip(pairs[::2], pairs[1::2], strict=True):
                place = tuple(order[2 * doc : 2 * doc + 2])
                clusters.setdefault(cluster, []).append((place, task, doc))
        remove: dict[int, list[int]] = {int(name.removesuffix(".clusters")): [] for name in tasks}
        for members in clusters.values():
            for _, task, doc in sorted(members)[1:]:
                remove[task].append(doc)
        for task, docs in remove.items():
            with self.output_folder.open(f"{task:06d}.remove", "wb") as file:
                file.write(struct.pack(f"<{len(docs)}I", *sorted(docs)))

    @staticmethod
    def _numbers(folder: Any, name: str, kind: str) -> list[int]:
        with folder.open(name, "rb") as file:
            data = file.read()
        return list(struct.unpack(f"<{len(data) // struct.calcsize(kind)}{kind}", data))
