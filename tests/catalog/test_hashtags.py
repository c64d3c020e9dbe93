"""Joined words: hashtags, segmentation by word frequency, and lower case by language."""

from xlclass.catalog.hashtags import split_hashtags
from xlclass.catalog.words import lower_case, segment_word

BORDERS = {
    "#CrossLingualVideo": "Cross Lingual Video",
    "#top10songs #f1 #4k": "top 10 songs f1 4k",
    "#snake_case_tag": "snake case tag",
    "#HTMLParser": "HTML Parser",
    "#YouTube #iPhone": "YouTube iPhone",
    "#ПервыйКанал #новыйгод2026": "Первый Канал новыйгод 2026",
    "#ΝέαΜουσική": "Νέα Μουσική",
    "#نجوم_العرب2026": "نجوم العرب 2026",
    "#दर्दभरा_गीत #เพลงใหม่": "दर्दभरा गीत เพลงใหม่",
    "#ポケモンGO #東京オリンピック #조선전쟁MBC": "ポケモン GO 東京オリンピック 조선전쟁 MBC",
    "#a#b ##c C# #1": "a b c C# 1",
}
JOINED = {
    ("#crosslingualvideo", "en"): "cross lingual video",
    ("#HORRORLIVESTREAM", "ja"): "HORROR LIVESTREAM",
    ("#mejoresmomentos", "es"): "mejores momentos",
    ("#attentatotrump", "it"): "attentato trump",
    ("#worshipmusic", "xx"): "worship music",
    ("#footballmatch", "fr"): "football match",
    ("#футбол #football #basketball #livestream #srishti #galatasaray", "tr"): "футбол football basketball livestream srishti galatasaray",
}
LOWER = {
    ("IŞIK İSTANBUL ILIK", "tr"): "ışık istanbul ılık",
    ("MINECRAFT LIVE FIRTINASI", "tr"): "minecraft live fırtınası",
    ("FIFA INSTAGRAM SIR TIP KIRMIZI XIII", "tr"): "fifa instagram sır tıp kırmızı xiii",
    ("QIZIL ALMA", "az"): "qızıl alma",
    ("İstanbul ILIK", "en"): "istanbul ilik",
    ("STRASSE Straße ΟΔΟΣ ẞ", "de"): "strasse straße οδος ß",
}


def split(text, language="en"):
    return " ".join(split_hashtags(text, language).split())


def test_split_hashtags_splits_at_borders():
    assert {text: split(text) for text in BORDERS} == BORDERS


def test_split_hashtags_splits_by_frequency_only_clearly_joined_words():
    assert {case: split(*case) for case in JOINED} == JOINED


def test_segment_word_keeps_words_that_no_list_explains():
    assert segment_word("qzxvwkj" * 3, "en") == ("qzxvwkj" * 3,)
    assert segment_word("iloveyou", "no such language") == ("i", "love", "you")
    assert segment_word("football", "en") == ("football",)


def test_lower_case_follows_the_language():
    assert {case: lower_case(*case) for case in LOWER} == LOWER
