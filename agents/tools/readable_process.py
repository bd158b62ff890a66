"""Turns a page into Markdown in a process of its own, which a page made to be slow or huge cannot outlive.

Run as a program: UTF-8 HTML on standard input, the page's URL as argument; a line with the title, then Markdown.
"""

import html
import re
import resource
import sys
from contextlib import suppress

# Five megabytes of nested mark-up took the parser 166 s and 1.5 GB (measured); ordinary pages take 2 ms and 20 MB.
CPU_SECONDS = 10
MEMORY_BYTES = 1024**3
MAX_CHARACTERS = 2_000_000
TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
CONTROLS = ["iframe", "button", "input", "select", "textarea"]


def main(url: str) -> None:
    for limit, value in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY_BYTES)):
        with suppress(ValueError, OSError):  # macOS refuses a limit on memory
            resource.setrlimit(limit, (value, value))
    from html_to_markdown import ConversionOptions, PreprocessingOptions, convert  # noqa: PLC0415  # under the limits

    page = sys.stdin.buffer.read().decode("utf-8", "replace")
    title = TITLE.search(page)
    options = ConversionOptions(
        preprocessing=PreprocessingOptions(preset="aggressive"),  # without navigation, asides and footers
        base_url=url,
        skip_images=True,
        compact_tables=True,
        extract_metadata=False,
        exclude_selectors=CONTROLS,
    )
    markdown = convert(page, options).content or ""
    heading = " ".join(html.unescape(title[1]).split()) if title else ""
    sys.stdout.buffer.write(f"{heading[:300]}\n{markdown[:MAX_CHARACTERS]}".encode("utf-8", "replace"))


if __name__ == "__main__":
    main(sys.argv[1])
