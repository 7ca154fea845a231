"""Personal data masked, and what only looks like it left alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.data.privacy import (
    EMAIL,
    IP,
    PHONE,
    mask_emails,
    mask_ip_addresses,
    mask_phone_numbers,
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Contact me at test@gmail.com please.", f"Contact me at {EMAIL} please."),
        ("pl@fakedomain.ai and spl@fakedomain.ai", f"{EMAIL} and {EMAIL}"),
        (f"They write {EMAIL} for a@b.example.", f"They write {EMAIL} for {EMAIL}."),
        ("<first.last+tag@sub.world.example>,", f"<{EMAIL}>,"),
        ("'o'brien@x-y.co.uk'", f"'{EMAIL}'"),
        ("mailto:a_b@c.museum?subject=x", f"mailto:{EMAIL}?subject=x"),
        ("jürgen@müller.example", EMAIL),
        ("(x@xn--bcher-kva.example)", f"({EMAIL})"),
    ],
)  # fmt: skip
def test_emails(text: str, masked: str) -> None:
    result, count = mask_emails(text)
    assert result == masked
    assert count == masked.count(EMAIL) - text.count(EMAIL)


@pytest.mark.parametrize(
    "text", ["user@[10.0.0.1]", "user@localhost", "@name", "pkg@1.2.3", "3 @ 2.50", "a@b@"]
)
def test_no_emails(text: str) -> None:
    assert mask_emails(text) == (text, 0)


@pytest.mark.parametrize(
    "text",
    ["999.1.1.1", "256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "v1.2.3.4", "version 1.2.3.4", "Release 4.3.2.1",
     "1.2.3.4x", "1.2.3.", "1.2.3.400"],
)  # fmt: skip
def test_no_ip_addresses(text: str) -> None:
    assert mask_ip_addresses(f"See {text} here") == (f"See {text} here", 0)


PHONES = """2831823829
(283)-182-3829
(283) 182 3829
283-182-3829
283.182.3829
+1 283 182 3829
1-283-182-3829
+1 (283) 182-3829
283-182-3829 ext. 12
+44 20 7946 0958
+442079460958
+44 (0)20 7946 0958
0044 20 7946 0958
(020) 7946 0958
020 7946 0958
07700 900123
01632 960 123
+49 (0)30 1234567
030/123456-78
0049 30 123456
+33 1 23 45 67 89
01 23 45 67 89
+353 1 234 5678
+91 98765 43210
+86-10-6552-9988
+44 20 7946 0958
283‑182‑3829
555-0123""".splitlines()


@pytest.mark.parametrize("number", PHONES)
@pytest.mark.parametrize(
    "frame", ["Feel free to contact me at {} if you have questions.", "Ring {}.", "{}", "Tel.: {}, or write", "({})",
              "call {}; ask for Ana", "from {} or {}", "In 1987 {} was new"],
)  # fmt: skip
def test_phone_numbers(number: str, frame: str) -> None:
    text = frame.replace("{}", number)
    assert mask_phone_numbers(text) == (frame.replace("{}", PHONE), frame.count("{}"))


LOOKALIKES = """1914-1918
2001 2002 2003
1066, 1492 and 1789
ISBN 0-306-40615-2
ISBN 0306406152
ISBN-10: 8175257660
ISBN 978-0-306-40615-7
978-0-306-40615-7
9780306406157
978 3 16 148410 0
ISSN 0317-8471
version 3.11.7
version 10.15.7
12:30:45
09:30-10:45
13.00-17.00
2024-05-06
2024-05-06T07:08:09
05.06.2024
05.06.2024 14:30
27-11-1834
01/02/2003
$2831823829
£1,234,567.89
1,234,567,890
1 000 000
+1 234
0049 30
00 11 22 33 44 55 66 77
3.2831823829
2831823829.5
0.123456789
50.1234, -0.5678
10.15.7.1234
192.168.0.1
4111 1111 1111 1111
AB2831823829
A-283-182-3829-B
12345678901234567890
pages 123-456
100-200-3000
20 %
55-0123""".splitlines()


@pytest.mark.parametrize("text", LOOKALIKES)
@pytest.mark.parametrize("frame", ["It says {} there.", "{}", "({})", "See {}."])
def test_no_phone_numbers(text: str, frame: str) -> None:
    whole = frame.replace("{}", text)
    assert mask_phone_numbers(whole) == (whole, 0)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("You can access the server at 192.0.2.146.", f"You can access the server at {IP}."),
        ("0.0.0.0, 255.255.255.255", f"{IP}, {IP}"),
        ("http://10.0.0.1:8080/x", f"http://{IP}:8080/x"),
        ("10.0.0.0/8", f"{IP}/8"),
    ],
)  # fmt: skip
def test_ip_addresses(text: str, masked: str) -> None:
    assert mask_ip_addresses(text) == (masked, masked.count(IP))


def test_the_replacement_is_ours_to_choose() -> None:
    assert mask_emails("a@b.example", r"\1<mail>") == (r"\1<mail>", 1)
    assert mask_phone_numbers("283-182-3829", "<phone>") == ("<phone>", 1)
    assert mask_ip_addresses("8.8.8.8", "<ip>") == ("<ip>", 1)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789+-./() @:aé\n\ud800", max_size=60))
def test_masks_agree_with_their_counts_and_are_final(text: str) -> None:
    for mask, sign in ((mask_emails, EMAIL), (mask_phone_numbers, PHONE), (mask_ip_addresses, IP)):
        once, count = mask(text)
        assert once.count(sign) == count
        assert (once == text) is (count == 0)


@pytest.mark.parametrize(
    "text",
    ["a" * 500_000, "a." * 250_000, "a@" * 250_000, "1 " * 250_000, "1." * 250_000, "+1" + "(2)" * 150_000,
     "012 " * 120_000, "00" * 250_000, "a@" + "b-" * 250_000, "9" * 500_000, " " * 500_000],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_no_text_takes_for_ever(text: str) -> None:
    began = time.monotonic()
    for mask in (mask_emails, mask_phone_numbers, mask_ip_addresses):
        mask(text)
    assert time.monotonic() - began < 5
