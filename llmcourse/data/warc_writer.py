"""Writing a WARC file: request and response pairs, and never half a file under its real name.

Taught in chapter 01.
"""

from __future__ import annotations

import io
import os
import uuid
import zlib
from pathlib import Path
from types import TracebackType

from ..errors import CourseError
from .fetch import Response


class WarcWriter:
    """Writes request and response pairs; ``<name>.partial`` takes its name when it is closed well.

    Args:
        path: The file to make. It is compressed record by record if the name ends in ``.gz``.
        software: Who writes it, for the ``warcinfo`` record.

    Raises:
        CourseError: if the file cannot be made.
    """

    def __init__(self, path: str | Path, software: str) -> None:
        from warcio.warcwriter import WARCWriter

        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.partial.open("wb")
        except OSError as error:
            raise CourseError(
                f"cannot write {self.path}: {error.strerror or error}", hint="choose another folder"
            ) from error
        self._warc = WARCWriter(self._file, gzip=self.path.suffix == ".gz", warc_version="1.1")
        info = {"software": software, "format": "WARC File Format 1.1", "robots": "obey"}
        self._warc.write_record(self._warc.create_warcinfo_record(self.path.name, info))

    def write(self, page: Response) -> None:
        """Store one page. Its encodings are already undone, so, as Common Crawl does, the headers
        that spoke of them are kept under another name and the length is the body's own."""
        from warcio.statusandheaders import StatusAndHeaders

        # The same page has the same id in every crawl; FineWeb's documents carry this id.
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{page.url} {zlib.crc32(page.body):08x}")
        encodings = ("content-encoding", "transfer-encoding", "content-length")
        headers = [(f"X-Crawl-{k}" if k.lower() in encodings else k, v) for k, v in page.headers]
        headers.append(("Content-Length", str(len(page.body))))
        status, asked = f"{page.status} {page.reason}", f"GET {page.target} HTTP/1.1"
        response = self._warc.create_warc_record(
            page.url,
            "response",
            payload=io.BytesIO(page.body),
            length=len(page.body),
            warc_headers_dict={
                "WARC-Record-ID": f"<urn:uuid:{name}>",
                "WARC-Identified-Payload-Type": page.content_type,
            },
            http_headers=StatusAndHeaders(status, headers, protocol="HTTP/1.1"),
        )
        request = self._warc.create_warc_record(
            page.url,
            "request",
            http_headers=StatusAndHeaders(asked, list(page.request_headers), is_http_request=True),
        )
        self._warc.write_request_response_pair(request, response)

    def __enter__(self) -> WarcWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            self.partial.replace(self.path)
