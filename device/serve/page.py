"""The page: one HTML document that refers to nothing outside of itself, and the policy that holds the browser to it."""

from __future__ import annotations

import base64
import hashlib
import pkgutil
from dataclasses import dataclass

from device.errors import EdgeproofError

STYLE, SCRIPT = "{{style}}", "{{script}}"  # in page.html


@dataclass(frozen=True)
class Page:
    """The document, and its Content-Security-Policy: only its own style and script are taken, by their hashes."""

    html: bytes
    policy: str


def load_page() -> Page:
    """Put the page together, from the folder or from inside an archive. Raises EdgeproofError where a part is missing."""
    style, script = _part("page.css"), _part("page.js")
    html = _part("page.html").replace(STYLE, style).replace(SCRIPT, script)
    rules = (
        "default-src 'none'",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'",
        "connect-src 'self'",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return Page(html.encode(), "; ".join(rules))


def _part(name: str) -> str:
    try:
        data = pkgutil.get_data(__package__, name)  # a loader reads its own archive
    except OSError as error:
        raise EdgeproofError(
            f"device/serve/{name} is missing: copy the whole folder device/, or take classify.pyz"
        ) from error
    assert data is not None, "the package's loader reads files"
    return data.decode()


def _digest(text: str) -> str:
    """Return a source expression of CSP: the hash of what stands between two tags."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
