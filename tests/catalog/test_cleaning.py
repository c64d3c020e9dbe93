"""Character-level cleaning, seen in whole prepared texts; counts and truncation."""

import unicodedata

from xlclass.catalog import cleaning, words
from xlclass.catalog.text import Preparation
from xlclass.config import TextSettings

PREPARATION = Preparation.from_settings(TextSettings(), {})
CHARACTERS = {
    "Ｆｕｌｌ ｗｉｄｔｈ ①② ﬁn 𝓕𝓾𝓷": "full width 12 fin fun",
    "a\u200bb\u00adc \u202egnol\u202c d\ufeff e\u2066": "abc gnol d e",
    "nul\x00byte tab\there\nline": "nul byte tab here line",
    "smile \ud83d\ude00 lone \ud83d end": "smile grinning face lone end",
    "private \ue000\U000f0000 invalid \ufffe\U0010ffff": "private invalid",
    "Tom &amp;amp; Jerry &lt;3 &#39;hi&#39; &unknown; AT&T": "tom & jerry <3 'hi' unknown; at&t",
    "Acme™ ©2024": "acme 2024",
    "e\u0301te\u0301": "été",
    "Z\u0351\u036b\u0343\u036a\u0302\u0344algo": "z\u0351\u036balgo",
    "  much \t space \r\n": "much space",
}
CONTACTS = {
    "see https://youtu.be/x?a=b#T now": "see now",
    "HTTP://A.B/c and www.site.org/page": "and",
    "bit.ly/abc t.me/chan instagram.com/me": None,
    "play agar.io or chess.com": "play agar.io or chess.com",
    "mail me.you+x@mail.example.org please": "mail please",
    "with @Some_Body.1 and @ home": "with and @ home",
    "tel +49 (0)171 234-5678 or 06 12 34 56 78 or 555-123-4567 or 01712345678": "tel or or or",
    "12.05.2024 2018-2019 1 000 000 3-2 20:45 1080 1234567": "12.05.2024 2018-2019 1 000 000 3-2 20:45 1080 1234567",
    "1/2 and/or ac/dc": "1/2 and/or ac/dc",
    "https://a.b/c#FooBar after": "after",  # the # starts no hashtag
}
RUNS = {
    ("Sooooo gooood!!!! wow... ?!?!", "en"): "so good! wow. ?",
    ("GOOOOL ДААААА привееет", "ru"): "gol да привет",
    ("สวยยยย 5555", "th"): "สวย 5555",
    ("ラーメーーン すごおおおい", "ja"): "ラーメーーン すごおおい",
    ("ESSSSTOOO goriiiiilla voldeeemorrrrtttttt", "es"): "esto gorilla voldemort",
    ("goooood hellllo Pizzzzza coooool2026", "en"): "good hello pizza cool2026",
    ("哈哈哈哈 好好好吃", "zh"): "哈哈 好好吃",
    ("www AAA World War III Louis XVIII СССР XXXL", "en"): "www aaa world war iii louis xviii ссср xxxl",
    ("C++ 10,000 a-b 1000000", "en"): "c++ 10,000 a-b 1000000",
    ("안녕ㅋㅋㅋㅋㅋ", "ko"): "안녕" + unicodedata.normalize("NFKC", "ㅋㅋ"),
    ("------ ＝＝＝ ★★★ 、、、", "ja"): "- = 、",
}
TRUNCATED = {
    ("one two three four", 15): "one two three",
    ("one two three", 13): "one two three",
    ("one two three", 7): "one two",
    ("x" * 80, 40): "x" * 40,
    ("abe\u0301", 3): "ab",
    ("日本語" * 30, 40): ("日本語" * 30)[:40],
    ("x.y.z.word", 8): "x.y.z.",
}


def text_of(title, language="en"):
    return PREPARATION.prepare(title, None, None, None, language).text


def test_prepare_normalizes_characters():
    assert {title: text_of(title) for title in CHARACTERS} == CHARACTERS


def test_prepare_keeps_joiners_that_belong_to_the_spelling():
    assert text_of("می\u200cخواهم", "fa") == "می\u200cخواهم"
    assert text_of("क्\u200dष", "hi") == "क्\u200dष"
    assert text_of("a\u200cb \u200dc ب\u200c d", "fa") == "ab c ب d"


def test_prepare_replaces_zero_width_spaces_between_khmer_words_by_spaces():
    assert text_of("ភាសា\u200bខ្មែរ", "km") == "ភាសា ខ្មែរ"


def test_normalize_nfkc_makes_no_character_invisible():
    for code in range(0x110000):
        character = chr(code)
        plain = cleaning.normalize_nfkc(cleaning.remove_invisible(character)) if not 0xD800 <= code < 0xE000 else ""
        assert cleaning.remove_invisible(plain) == plain, hex(code)
        lower = cleaning.normalize_nfc(words.lower_case(plain, "en"))
        assert lower == cleaning.normalize_nfkc(lower) == words.lower_case(lower, "en"), hex(code)


def test_prepare_removes_contacts():
    assert {title: text_of(title) for title in CONTACTS} == CONTACTS


def test_prepare_shortens_runs():
    assert {case: text_of(*case) for case in RUNS} == RUNS


def test_count_letters_weighs_scripts_and_ignores_camera_names():
    counts = {"abc 1!": 4, "日本": 6, "한국": 4, "IMG_20240101_1234.mp4": 0, "DSC00012": 0, "किताब": 3}
    assert {text: cleaning.count_letters(text, 50) for text in counts} == counts


def test_truncate_ends_between_words_and_never_inside_a_letter():
    assert {case: cleaning.truncate(*case) for case in TRUNCATED} == TRUNCATED
