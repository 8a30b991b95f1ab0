"""What the regression run compares of an output."""

import re
from pathlib import Path

from nbval.plugin import get_sanitize_patterns

PATTERNS = dict(get_sanitize_patterns(Path(__file__).with_name("sanitize.cfg").read_text(encoding="utf-8")))
assert len(PATTERNS) == 5


def sanitized(text):
    """The text as nbval compares it, by nbval's own parser and its own way to apply what it parsed."""
    for regex, replacement in PATTERNS.items():
        text = re.sub(regex, replacement, text)
    return text
