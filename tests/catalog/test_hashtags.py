"""How joined words come apart."""

import pytest

from xlclass.catalog.hashtags import hashtags_split
from xlclass.catalog.words import folded, parted


def split(text, language="en"):
    return hashtags_split(text, language).split()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("#CrossLingualVideo", ["Cross", "Lingual", "Video"]),
        ("#top10songs #f1 #4k", ["top", "10", "songs", "f1", "4k"]),
        ("#snake_case_tag", ["snake", "case", "tag"]),
        ("#HTMLParser", ["HTML", "Parser"]),
        ("#YouTube #iPhone", ["YouTube", "iPhone"]),
        ("#ПервыйКанал #новыйгод2026", ["Первый", "Канал", "новыйгод", "2026"]),
        ("#ΝέαΜουσική", ["Νέα", "Μουσική"]),
        ("#نجوم_العرب2026", ["نجوم", "العرب", "2026"]),
        ("#दर्दभरा_गीत #เพลงใหม่", ["दर्दभरा", "गीत", "เพลงใหม่"]),
        ("#ポケモンGO #東京オリンピック #조선전쟁MBC", ["ポケモン", "GO", "東京オリンピック", "조선전쟁", "MBC"]),
        ("#a#b ##c C# #1", ["a", "b", "c", "C#", "1"]),
    ],
)
def test_hashtags_split_at_borders(given, expected):
    assert split(given) == expected


@pytest.mark.parametrize(
    ("given", "language", "expected"),
    [
        ("#crosslingualvideo", "en", "cross lingual video"),
        ("#HORRORLIVESTREAM", "ja", "HORROR LIVESTREAM"),
        ("#mejoresmomentos", "es", "mejores momentos"),
        ("#attentatotrump", "it", "attentato trump"),
        ("#worshipmusic", "xx", "worship music"),
        ("#footballmatch", "fr", "football match"),
        ("#футбол #football #basketball #livestream #srishti #galatasaray", "tr", "футбол football basketball livestream srishti galatasaray"),
    ],
)
def test_hashtags_split_by_dictionary_only_what_is_clearly_joined(given, language, expected):
    assert split(given, language) == expected.split()


def test_parted_leaves_alone_what_no_list_explains():
    assert parted("qzxvwkj" * 3, "en") == ("qzxvwkj" * 3,)
    assert parted("iloveyou", "no such language") == ("i", "love", "you")
    assert parted("football", "en") == ("football",)


@pytest.mark.parametrize(
    ("given", "language", "expected"),
    [
        ("IŞIK İSTANBUL ILIK", "tr", "ışık istanbul ılık"),
        ("MINECRAFT LIVE FIRTINASI", "tr", "minecraft live fırtınası"),
        ("FIFA INSTAGRAM SIR TIP KIRMIZI XIII", "tr", "fifa instagram sır tıp kırmızı xiii"),
        ("QIZIL ALMA", "az", "qızıl alma"),
        ("İstanbul ILIK", "en", "istanbul ilik"),
        ("STRASSE Straße ΟΔΟΣ ẞ", "de", "strasse straße οδος ß"),
    ],
)
def test_folded_is_the_lower_case_of_the_language(given, language, expected):
    assert folded(given, language) == expected
