"""What each filter does by itself: text from HTML, language, Gopher's rules."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmcourse.data.html import decode_html, main_text, text_from_html, visible_text
from llmcourse.data.language import identify_language
from llmcourse.data.quality import RULES, gopher_quality, measure

# -- HTML -----------------------------------------------------------------------------------------

PROSE = [
    "The ferry left the harbour before dawn, and the few passengers stood close to the warm funnel.",
    "Nobody spoke until the lighthouse had passed behind the headland and the sea grew calm again.",
    "Then the cook came up with a kettle of tea, and the talk began with the price of herring.",
]
ARTICLE = f"""<!doctype html><html><head><title>The ferry</title><style>p {{color: red}}</style>
<script>var tracking = "do not read me";</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/about">About</a></li></ul></nav>
<main><article><h1>The ferry</h1>{"".join(f"<p>{p}</p>" for p in PROSE)}</article></main>
<footer><p>Copyright 2024. Cookie settings.</p></footer></body></html>"""


def test_main_text_is_the_article() -> None:
    text = text_from_html(ARTICLE.encode())
    for paragraph in PROSE:
        assert paragraph in text
    for noise in ("Home", "Cookie", "tracking", "color"):
        assert noise not in text


def test_all_visible_text_has_the_navigation_too() -> None:
    text = text_from_html(ARTICLE.encode(), content="all")
    assert text.split("\n")[:3] == ["Home", "About", "The ferry"]
    assert "Cookie settings." in text
    assert "tracking" not in text
    assert "color" not in text


def test_inline_elements_do_not_break_words() -> None:
    html = "<p>un<b>believ</b>able, <i>really</i></p><!-- hidden --><div>a<br>b</div><p>c</p>tail"
    assert visible_text(html).split("\n") == ["unbelievable, really", "a", "b", "c", "tail"]


def test_a_page_without_an_article_falls_back_to_every_word() -> None:
    html = b"<html><body><ul><li><a href='/a'>One</a></li></ul></body></html>"
    assert "One" in text_from_html(html)


@pytest.mark.parametrize(
    "html",
    [b"", b" \n", b"\x00", b"<html></html>", b"<!-- only -->", b"<script>x</script>", b"\xff\xfe"],
)
def test_pages_without_text(html: bytes) -> None:
    assert text_from_html(html) == ""
    assert text_from_html(html, content="all") == ""


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([None, "utf-8", "no-such-charset", "utf-16", "hex"])
)
def test_never_raises(html: bytes, charset: str | None) -> None:
    assert isinstance(text_from_html(b"<p>" + html, charset=charset), str)
    assert isinstance(text_from_html(html, content="all"), str)


def test_a_parser_that_fails_gives_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    import trafilatura

    def fail(*args: object, **kwargs: object) -> str:
        raise RecursionError

    monkeypatch.setattr(trafilatura, "extract", fail)
    assert main_text(ARTICLE) == ""
    assert PROSE[0] in text_from_html(ARTICLE.encode()), "every visible word, then"
    assert text_from_html(b"<!-- nothing -->") == ""


def test_extraction_does_not_depend_on_what_came_before() -> None:
    first = main_text(ARTICLE)
    assert [main_text(ARTICLE) for _ in range(5)] == [first] * 5


UMLAUTS = "Grüße aus Köln, schöne Straße – „naïve“ Café"


@pytest.mark.parametrize(
    ("encoded", "header"),
    [
        (UMLAUTS.encode(), None),
        (UMLAUTS.encode(), "iso-8859-1"),  # the header lies, the bytes do not
        (UMLAUTS.encode("cp1252"), "iso-8859-1"),  # what browsers mean by it
        (UMLAUTS.encode("utf-8-sig"), None),
        (UMLAUTS.encode("utf-16"), None),
        (UMLAUTS.encode("utf-32"), None),
        (UMLAUTS.encode("utf-16-le"), "utf-16"),
        (b"<meta charset=windows-1252>" + UMLAUTS.encode("cp1252"), None),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=cp1252">' + UMLAUTS.encode("cp1252"), None),
        (b'<?xml version="1.0" encoding="windows-1252"?>' + UMLAUTS.encode("cp1252"), None),
        (b"<meta charset=no-such>" + UMLAUTS.encode(), "neither-this"),
    ],
)  # fmt: skip
def test_character_sets(encoded: bytes, header: str | None) -> None:
    assert decode_html(encoded, header).endswith(UMLAUTS)


@pytest.mark.parametrize(
    ("text", "codec"),
    [("Московский метрополитен открыт ежедневно для всех пассажиров", "cp1251"),
     ("日本語の文章です。東京は大きい都市です。", "shift_jis"), ("欢迎来到我们的网站", "gb2312"),
     ("日本語の文章です。", "iso2022_jp")],
)  # fmt: skip
def test_declared_character_sets_of_the_world(text: str, codec: str) -> None:
    label = {"iso2022_jp": "iso-2022-jp"}.get(codec, codec)
    assert decode_html(text.encode(codec), label) == text


def test_a_page_that_says_nothing_true() -> None:
    russian = "Московский метрополитен открыт ежедневно для всех пассажиров. " * 10
    assert decode_html(russian.encode("cp1251"), "utf-8") == russian
    assert decode_html(b"caf\xe9", "utf-8") == "café"


def test_an_xml_declaration_is_no_obstacle() -> None:
    page = '<?xml version="1.0" encoding="utf-8"?>' + ARTICLE
    assert PROSE[0] in text_from_html(page.encode())


# -- language -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Call me Ishmael. Some years ago, never mind how long precisely, I went to sea.", "en"),
        ("欢迎来到我们的网站", "zh"),
        ("Der alte Müller stand am Fluss und wartete auf den Regen.", "de"),
        ("La vieille meunière attendait la pluie au bord de la rivière.", "fr"),
        ("Le\nmoulin\nest\nvieux\n", "fr"),
    ],
)
def test_languages(text: str, code: str) -> None:
    found, score = identify_language(text)
    assert found == code
    assert 0.4 < score <= 1


@pytest.mark.parametrize("text", ["", "   \n", "123 456", "!?", "\u200b"])
def test_no_letters_no_language(text: str) -> None:
    assert identify_language(text) == ("und", 0.0)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80))
def test_any_text_has_a_score(text: str) -> None:
    code, score = identify_language(text)
    assert code
    assert 0 <= score <= 1


def test_lone_surrogates_do_not_matter() -> None:
    assert identify_language("wir gehen heute \ud800 in den Wald spazieren")[0] == "de"


# -- Gopher's rules -------------------------------------------------------------------------------

GOOD = "This should definitely be a valid input text and of high quality according to Gopher. "


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD * 20, None),
        ("", 0),
        ("! ? . " * 100, 0),
        ("The string you are reading is a short snippet of text.", 0),
        ("The string you are reading is too long of a text. " * 12_000, 1),
        ("to be a I " * 100, 2),
        ("the and " + "extraordinarily incomprehensible longesest " * 100, 3),
        ("# the and which word " * 50, 4),
        ("... the and which word " * 50, 5),
        ("\n".join(["- the town and that river have a name"] * 95 + ["the end of it"] * 5), 6),
        ("\n".join(["• the town and that river have a name"] * 95 + ["the end of it"] * 5), 6),
        (
            "\n".join(
                ["The line here is an example that ends so..."] * 70 + ["A normal line."] * 30
            ),
            7,
        ),
        (
            "\n".join(["The line here is an example that ends so…"] * 40 + ["A normal line."] * 60),
            7,
        ),
        ("the and with 12345 67890 1234 5678 " * 20, 8),
        ("das ist ein langer Satz ohne jedes englische Wort darin " * 10, 9),
    ],
)
def test_each_rule(text: str, reason: int | None) -> None:
    verdict = gopher_quality(text)
    assert verdict.keep is (reason is None)
    if reason is not None:
        assert RULES[reason][0] in verdict.reasons


def test_borders_are_inside() -> None:
    assert gopher_quality("the and " * 25).keep, "50 words"
    assert not gopher_quality("the and " * 24 + "the").keep, "49 words"
    assert gopher_quality("the with " * 100).keep
    assert not gopher_quality("the be " * 100).keep
    thirty = ["The line ends with an ellipsis and is long..."] * 30
    assert gopher_quality("\n".join(thirty + ["This is a normal line."] * 70)).keep


def test_measures_are_what_they_say() -> None:
    found = measure("- one of the 9\n# and four …")
    assert found is not None
    assert found.words == 6, "punctuation is no word"
    assert found.mean_word_length == pytest.approx((3 + 2 + 3 + 1 + 3 + 4) / 6)
    assert found.hashes == found.ellipses == pytest.approx(1 / 9)
    assert (found.bullet_lines, found.ellipsis_lines) == (0.5, 0.5)
    assert found.alphabetic_words == pytest.approx(5 / 9)
    assert found.stop_words == 3


PLAIN = [
    "the",
    "and",
    "with",
    "of",
    "to",
    "be",
    "have",
    "that",
    "river",
    "market",
    "extraordinary",
    "hard-working",
    "naïve",
    "日本",
    "a",
    "I",
]
ODD = ["7", "12.5", "#", "...", "…", "x_y", "(see", "below)", "—", "#tag", "incomprehensibilities"]


def random_text(rng: random.Random) -> str:
    """Texts on both sides of every rule, many of them close to its border."""
    odd = rng.choice([0, 0.05, 0.1, 0.2, 0.4])
    plain = rng.sample(PLAIN, rng.randint(3, len(PLAIN)))
    odds = rng.sample(ODD, rng.randint(1, 4))
    end, bullet = rng.choice([0, 0.2, 0.3, 0.4, 1]), rng.choice([0, 0, 0.8, 0.95, 1])
    lines = []
    for _ in range(rng.randint(2, 20)):
        words = [
            rng.choice(odds if rng.random() < odd else plain) for _ in range(rng.randint(1, 14))
        ]
        start = rng.choice(["- ", "• ", " -"]) if rng.random() < bullet else ""
        lines.append(
            start + " ".join(words) + (rng.choice(["...", "…"]) if rng.random() < end else ".")
        )
    return "\n".join(lines)


def test_verdicts_equal_datatroves() -> None:
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter

    theirs = GopherQualityFilter()
    rng = random.Random(7)
    kept = 0
    seen = set()
    for _ in range(1500):
        text = random_text(rng)
        result = theirs.filter(Document(text, "x"))
        verdict = gopher_quality(text)
        assert verdict.keep is (result is True), (text, result, verdict)
        kept += verdict.keep
        seen.update(verdict.reasons)
    assert 50 < kept < 1450
    assert len(seen) >= 8, "the random texts meet nearly every rule"
