"""The detector on texts in an obvious language, on texts without letters, and on hostile ones."""

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xlclass.catalog import detector
from xlclass.catalog.detector import detect, detection_text

TITLES = {
    "en": "How to build a house in the woods without any power tools",
    "es": "Cómo hacer la mejor tortilla de patatas en casa",
    "fr": "Comment réparer un vélo quand on n'y connaît rien",
    "de": "Wie man einen Garten für den Winter vorbereitet",
    "pt": "Não acredito no que aconteceu ontem à noite com a minha irmã",
    "it": "Questa è la ricetta della nonna per una pizza perfetta",
    "tr": "Bugün çok güzel bir gün geçirdik, İstanbul'da gezdik",
    "pl": "Dlaczego nie powinieneś tego robić w domu",
    "vi": "Hướng dẫn nấu phở bò ngon tại nhà",
    "id": "Cara membuat nasi goreng yang enak dan mudah",  # ELD returns ms
    "hu": "Így készül a legfinomabb magyar gulyás",
    "ru": "Как приготовить настоящий борщ дома и не пожалеть об этом",
    "uk": "Що робити, якщо ви не знаєте, як це зробити",
    "kk": "Мен Дөңгелекке Отырып Айналып Секірдім қазақша",  # ELD has no Kazakh
    "ar": "أفضل أهداف الدوري في هذا الموسم",
    "fa": "چگونه در خانه پیتزا درست کنیم",
    "he": "איך להכין חומוס בבית",
    "hi": "घर पर पनीर कैसे बनाएं और खाएं",
    "ja": "世界で一番おいしいラーメンの作り方",
    "ko": "집에서 김치 만드는 방법",
    "zh": "这个视频告诉你怎么学习汉语",
    "zh-Hant": "這個影片告訴你怎麼學習漢語",
    "th": "วิธีทำผัดไทยง่ายๆ ที่บ้าน",
    "km": "ហ្គេមចុងក្រោយមុនទៅជួបបងៗ",
    "ka": "როგორ მოვამზადოთ ხაჭაპური სახლში",
    "el": "Πώς να φτιάξετε μουσακά στο σπίτι",
    "si": "ගෙදර කෑම හදන හැටි",
    "bn": "বাড়িতে বিরিয়ানি রান্না",
    "hy": "Ինչպես պատրաստել տոլմա տանը",
    "am": "እንዴት እንጀራ እንሰራለን",
}


def test_detect_recognises_plain_titles():
    detections = dict(zip(TITLES, detect(list(TITLES.values())), strict=True))
    assert {language: detected for language, (detected, _) in detections.items()} == {language: language for language in TITLES}
    assert not {language: confidence for language, (_, confidence) in detections.items() if confidence <= 0.6}


def test_detect_returns_unknown_without_letters():
    texts = ["", "\n", " \n ", "2026 ★ 4:30", "😀😀", "\x00\ud800\udfff\u202e", "____"]
    assert {text: detect([text])[0] for text in texts} == dict.fromkeys(texts, ("und", 0.0))


def test_detect_uses_the_script_of_the_title():
    tags = "minecraft roblox funny gaming moments video game"
    assert detect([f"ماين كرافت لعبنا\n{tags}"])[0][0] == "ar"
    assert detect([f"Interstellar zwischen den Sternen und dem Nichts\nサラコナー サラ・コナー {tags}"])[0][0] == "de"
    assert detect(["\nвидео для детей"])[0][0] == "ru"  # without a title, the script of the tags


def test_detect_ignores_latin_names_in_a_title_of_another_script():
    assert detect(["MEOVV 띠로리 노래 OFFICIAL"])[0][0] == "ko"
    assert detect(["NCT 127 엔시티 OFFICIAL MUSIC VIDEO TEASER"])[0][0] == "en"


def test_detect_is_less_confident_if_scripts_are_mixed():
    pure, mixed = detect(["ตัวอย่างหนังใหม่", "ตัวอย่างหนัง Official Trailer"])
    assert pure[0] == mixed[0] == "th"
    assert mixed[1] < pure[1]


def test_detect_distinguishes_the_languages_with_han_characters():
    kana_in_tags, shinjitai, simplified, traditional, ambiguous = detect(["火宴\n原因は自分にある", "図書館戦争", "汉语学习视频", "漢語學習影片", "人生"])
    assert [kana_in_tags[0], shinjitai[0], simplified[0], traditional[0], ambiguous[0]] == ["ja", "ja", "zh", "zh-Hant", "zh"]
    assert ambiguous[1] < traditional[1]  # all three write this word in the same way


def test_detect_is_not_confident_for_similar_languages_and_names():
    confidence = dict(detect([TITLES["id"], "Danas idemo u grad sa svojim prijateljima", "Gucci Gang"]))
    assert confidence["hr"] < 0.6
    assert confidence["id"] < 0.9
    assert detect(["Gucci Gang"])[0][1] < 0.6


def test_detect_does_not_depend_on_the_other_texts():
    texts = list(TITLES.values())
    assert detect(texts) == [detect([text])[0] for text in texts] == detect(texts[::-1])[::-1]


def test_detection_text_removes_links_and_keeps_case():
    assert detection_text("See https://a.example/x?y Now @someone me@b.example", ["İstanbul"]) == "See Now\nİstanbul"
    assert detection_text("𝓗𝓮𝓵𝓵𝓸 ｗｏｒｌｄ", None) == "Hello world\n"


def test_detection_text_accepts_nulls_and_uses_the_first_tags():
    assert detection_text(None, None) == "\n"
    assert detection_text("a", ["b", None, "", "c", "d", "e"], "f") == "a\nb c d f"


def test_detection_text_stays_short_for_huge_fields():
    assert len(detection_text("t " * 99, ["x" * 10_000] * 5_000, "word " * 2_000_000)) <= 300
    assert len(detection_text("\ufdfa" * 10_000, [])) <= 300  # NFKC expands this character into eighteen


@given(st.text(), st.lists(st.none() | st.text(), max_size=8), st.none() | st.text())
@example("\ud800", ["\x00"], "ª")
@example("’", ["'"], "ㅤ")
def test_detect_never_raises(title, tags, description):
    ((language, confidence),) = detect([detection_text(title, tags, description)])
    assert 0 <= confidence <= 1
    assert (language == "und") == (confidence == 0)


def test_detect_restricts_eld_to_languages_that_it_supports():
    eldc = pytest.importorskip("eldc")
    languages = {language for group in detector._LANGUAGES_OF_SCRIPT.values() for language in group.split()}
    assert languages <= set(eldc.LANGUAGES)


def test_detect_needs_no_network_and_loads_no_model_on_import():
    code = (
        "import socket, sys; socket.socket = None\n"
        "from xlclass.catalog.detector import detect; assert 'eldc' not in sys.modules\n"
        "print(detect(['wie geht es dir heute'])[0][0])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "de\n"
