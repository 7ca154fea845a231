"""Masking personal data: e-mail addresses, telephone numbers, IP addresses.

Patterns see shapes and no meaning. Each function says which shapes it takes and which it leaves
alone; the chapter measures both on pages whose every number is known.

Taught in chapter 01.
"""

from __future__ import annotations

import re

EMAIL = "|||EMAIL_ADDRESS|||"
PHONE = "|||PHONE_NUMBER|||"
IP = "|||IP_ADDRESS|||"

# The local part is bounded (RFC 5321, 4.5.3.1), so a long word without "@" costs no quadratic
# search.
_EMAIL = re.compile(
    r"""(?<![\w.+%-])
        \w [\w.+%'’&/=!\#$*?^{}~-]{0,63} @       # who
        (?: [^\W_] [\w-]{0,62} \. )+            # domains, each followed by a dot
        (?: xn--[A-Za-z0-9-]+ | [^\W\d_]{2,24} )   # the last one: letters only
        (?![\w@])""",
    re.VERBOSE,
)

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IP = re.compile(
    rf"""(?<![\w.]) (?<!\bversion\s) (?<!\bVersion\s) (?<!\brelease\s) (?<!\bRelease\s)
        (?:{_OCTET}\.){{3}}{_OCTET}
        (?! \w | \.\w )""",
    re.VERBOSE,
)

# Something that would make digits part of a longer thing: a decimal, a date, a code, a price.
_BEFORE = r"(?<![\w.,/:#$£€=|-]) (?<![\w][-.,/:])"
_AFTER = r"(?! [\w] | [.,/:=-]\d | \s?[%°€£$] )"
_SEP = r"[ \u00a0\u2011.-]"

# North American: area code, exchange, line. Area codes start with 2 to 9. Separators everywhere, or
# nowhere: else the end of a year would make a number of what follows it.
_NANP = rf"""
    (?: (?:\+|00)?1{_SEP}? )? \([2-9]\d\d\){_SEP}{{0,2}} \d{{3}} {_SEP}? \d{{4}}
    | (?: (?:\+|00)?1{_SEP} )? [2-9]\d\d{_SEP} \d{{3}} {_SEP} \d{{4}}
    | 1? [2-9]\d{{9}}"""
# International: a plus or a double zero and a country code, then groups of digits.
_INTERNATIONAL = rf"""(?: \+{_SEP}? | 00{_SEP}? ) [1-9]\d{{0,2}}
    (?: (?:{_SEP}|/)? (?: \(\d{{1,5}}\) | \d{{1,12}} ) ){{1,7}}"""
# National with a trunk zero: (020) 7946 0958, 030/123456, 01 23 45 67 89.
_NATIONAL = rf"""(?: \(0\d{{1,5}}\)(?:{_SEP}|/)? | 0\d{{1,5}}(?:{_SEP}|/) )
    \d{{2,8}} (?: (?:{_SEP}) \d{{2,8}} ){{0,4}}"""
# A subscriber's number alone, in the block kept for fiction and examples: 555-0100 to 555-0199.
_LOCAL = r"555[-.\u2011]01\d\d"
_EXTENSION = r"(?: \s? (?:ext\.?|x|extension) \s? \d{1,5} )?"

_PHONE = re.compile(
    rf"{_BEFORE} (?: (?P<intl>{_INTERNATIONAL}) | (?P<nanp>{_NANP}) | (?P<national>{_NATIONAL})"
    rf" | (?P<local>{_LOCAL}) ) {_EXTENSION} {_AFTER}",
    re.VERBOSE,
)
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\d{4}[./-]\d\d[./-]\d\d")
_BOOK = re.compile(r"ISBN[\s\w()-]{0,12}:?\s*$|ISSN:?\s*$", re.IGNORECASE)
_BOOK13 = re.compile(r"97[89][- ]?\d")


def mask_emails(text: str, replacement: str = EMAIL) -> tuple[str, int]:
    """Replace e-mail addresses: ``name@host.domain``, in any script.

    ``name@host`` without a domain, ``@name`` and ``package@1.2.3`` are none.

    Returns:
        The text, and how many were replaced.
    """
    return _EMAIL.subn(lambda _: replacement, text)


def mask_ip_addresses(text: str, replacement: str = IP) -> tuple[str, int]:
    """Replace IPv4 addresses: four numbers from 0 to 255 with dots and nothing more.

    ``999.1.1.1``, ``1.2.3``, ``1.2.3.4.5``, numbers with leading zeros and what directly follows
    the word "version" stay. FineWeb, too, leaves IPv6 alone.

    Returns:
        The text, and how many were replaced.
    """
    return _IP.subn(lambda _: replacement, text)


def mask_phone_numbers(text: str, replacement: str = PHONE) -> tuple[str, int]:
    """Replace telephone numbers in North American, international and national writing.

    Taken: ``2831823829``, ``(283)-182-3829``, ``283.182.3829``, ``+44 20 7946 0958``, ``0049 30
        123456``, ``(020) 7946 0958``, ``01 23 45 67 89``, ``555-0123``, each with an extension or
        without. Left alone: years and ranges of years, dates, times, ISBNs, version numbers,
        prices, decimals, identifiers with letters. Ten bare digits are taken for a number unless
        "ISBN" stands before them.

    Returns:
        The text, and how many were replaced.
    """
    count = 0

    def one(match: re.Match[str]) -> str:
        nonlocal count
        if not _is_phone(match, text):
            return match.group(0)
        count += 1
        return replacement

    return _PHONE.sub(one, text), count


def _is_phone(match: re.Match[str], text: str) -> bool:
    """The second look at a match: how many digits, and what it is not."""
    found = match.group(match.lastgroup or 0)
    digits = sum(char.isdigit() for char in found)
    least, most = {"intl": (8, 15), "nanp": (10, 13), "national": (9, 12)}.get(
        match.lastgroup or "", (7, 7)
    )
    if not least <= digits <= most:
        return False
    if _DATE.match(found) or _BOOK13.match(found):
        return False
    return not _BOOK.search(text, max(0, match.start() - 24), match.start())
