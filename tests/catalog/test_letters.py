"""Silent marks and decoration, seen in whole prepared texts; and the texts that must not change."""

import re
import unicodedata

from test_demo import ALL, ROWS

from xlclass.catalog.detector import detect, detection_text
from xlclass.catalog.letters import plain_letters, remove_silent_marks
from xlclass.catalog.text import Preparation
from xlclass.config import TextSettings

PREPARATION = Preparation.from_settings(TextSettings(), {})
VOWEL_SIGNS = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670"
MARKS = {
    "مـــرحـــبا": "مرحبا",
    "مَرْحَبًا بِكُمْ": "مرحبا بكم",
    "اللّٰه": "الله",
    "ﷲ ﹷ ﹱ": "الله",  # a ligature, and forms of a sign standing alone
    "قُلْ هُوَ ٱللَّهُ أَحَدٌ ۝ ٱللَّهُ ٱلصَّمَدُ ۝": "قل هو ٱلله أحد ٱلله ٱلصمد",
    "عَلِيمٌۭ حَكِيمٌۢ ۖ": "عليم حكيم",
    "آ أ إ ؤ ئ ۀ ا\u0653 و\u064e\u0654 يـ\u0654": "آ أ إ ؤ ئ ۀ آ ؤ ئ",  # a hamza makes another letter, whatever stands between
    "שָׁלוֹם־עֲלֵיכֶם": "שלום־עליכם",
    "בְּרֵאשִׁ֖ית בָּרָ֣א אֱלֹהִ֑ים׃ וְהָאָ֗רֶץ": "בראשית ברא אלהים והארץ",
    "צה״ל ג׳ירפה": "צה״ל ג׳ירפה",
    "השﬡ\ufb2a": "השאש",  # letters with a point in one character
    "السـ\u200dـلام": "السلام",
    "ب\u200dب": "بب",  # a joiner between letters that join anyway
    "می\u200cخواهم": "می\u200cخواهم",
    "क्\u200dष न्\u200cद": "क्\u200dष न्\u200cद",
    "葛\U000e0100城 ☕\ufe0f ᠠ\u180b": "葛城 hot beverage ᠠ",
    "M̴i̷n̶e҉c̸r̵aft": "minecraft",
    "5 ≠ 6, naïve, Ελλάδα": "5 ≠ 6, naïve, ελλάδα",
}
DECORATION = {
    "🅵🆁🅴🅴 🅟🅛🅐🅨 🄵🄾🄾 ⓑⓐⓡ": "free play foo bar",
    "🅱️ruh 🅿️": "bruh p",
    "FUT🆚NRG 🆕": "fut vs nrg new",
    "#🅵🅾🅾": "foo",
    "🇫🇷 🇫🇷🇩🇪": "france france germany",
    "TOP30 ᴘʟᴀʏʟɪsᴛ": "top30 playlist",
    "Tʜɪs ɪs ᴀ ǫᴜɪᴇᴛ ᴇxᴀᴍᴘʟᴇ": "this is a quiet example",
    "ᶦᶰ": "in",  # raised small capitals
    "uʍop ǝpısdn": "upside down",
    "¡plɹoM 'ollǝH": "hello, world!",
    "˙sᴉɥʇ pɐǝɹ uɐɔ noʎ ɟI": "if you can read this.",
    "My pop ʇɐɔ video, ɹǝɥʇɐǝʍ": "my pop cat video, weather",
    "&quot;ʇxǝʇ&quot; &#647;xǝʇ": '"text" text',
}
UNCHANGED = [
    "срок годности ғылым",  # Cyrillic
    "το ποτάμι ανκ",  # Greek
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",  # Cherokee
    "ꓡꓲ-ꓢꓴ",  # Lisu
    "ᐃᓄᒃᑎᑐᑦ",  # Inuktitut
    "gbɔgblɔ ɔdɔ ŋutɔ",  # Ewe, Twi
    "kǝla yǝwa ǝnǝ",  # a schwa of Nigeria and Cameroon
    "ɯɥɔ ʌɯ",  # Dan
    "qadın ısrar",  # Azerbaijani
    "kɪɪ ɪ",  # a doubled vowel of Kulango
    "/ˈɹʌn/ /fɪl/ [fɐˈmiʎɐ] [kɯɾɐ]",  # phonetic
]


def text_of(title, language="en"):
    return PREPARATION.prepare(title, None, None, None, language).text


def test_prepare_removes_marks_that_say_nothing():
    assert {title: text_of(title) for title in MARKS} == MARKS


def test_prepare_makes_letters_of_decoration():
    assert {title: text_of(title) for title in DECORATION} == DECORATION


def test_prepare_keeps_the_letters_of_living_scripts():
    assert [text_of(text) for text in UNCHANGED] == [text.lower() for text in UNCHANGED]


def test_single_letters_of_living_scripts_stay():
    letters = "".join(filter(str.isalpha, map(chr, range(0x20000))))
    spaced = "\n".join(unicodedata.normalize("NFKC", letters))
    plain = plain_letters(spaced)
    assert {letter for letter, kept in zip(spaced.split("\n"), plain.split("\n"), strict=True) if letter != kept} == set("ᴉʇʞʍᵷƃꞁⅎꞰꞱꞀƂℲᴚ")
    assert set(filter(str.isalpha, set(spaced) - set(remove_silent_marks(spaced)))) == set("\u0640\u06e5\u06e6")  # tatweel, two letters of the Quran


def test_the_demos_24_languages_have_no_other_silent_marks_than_a_writer_would_set():
    """A vowel sign where the word is ambiguous, and a tatweel that shows a single letter's joined form."""
    texts = [text for row in ALL for text in (row["title"], row["description"], row["channel"], *row["tags"]) if text]
    words = {word for text in texts for word in re.findall(r"\S+", unicodedata.normalize("NFKC", text))}
    changed = {word for word in words if plain_letters(remove_silent_marks(word)) != word}
    marked = "فـ بـ رحّال يصوّت غِلي فعلاً، مبسّط الحَوْر حيّة سُجّلت عمّان. علّق الحنّاء «پاییزِ رپِ"
    assert changed == set(marked.replace("(", "").split())
    assert [text for text in texts if plain_letters(unicodedata.normalize("NFKC", text)) != unicodedata.normalize("NFKC", text)] == []


def with_tatweel(text):
    """A tatweel before the last letter of each word of at least three Arabic letters."""
    return re.sub("([\u0621-\u064a]{2,})([\u0621-\u064a])", r"\1ـــ\2", text)


def with_vowel_signs(text):
    """The nine signs in turn, one after each Arabic letter."""
    signs = iter(VOWEL_SIGNS * len(text))
    return re.sub("[\u0621-\u064a]", lambda match: match[0] + next(signs), text)


def test_marks_change_neither_the_prepared_text_nor_the_language_of_arabic_persian_and_urdu():
    titles = [(row["title"], language) for language in ("ar", "fa") for row in ROWS[language] if row["title"]]
    assert len(titles) > 60
    for write in (with_tatweel, with_vowel_signs):
        marked = [(write(title), language) for title, language in titles]
        assert marked != titles
        assert [text_of(*title) for title in marked] == [text_of(*title) for title in titles]
        assert detect([detection_text(title, None) for title, _ in marked]) == detect([detection_text(title, None) for title, _ in titles])


def test_decoration_does_not_change_the_language():
    small = str.maketrans("abcdefghijklmnoprtuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ")
    title = "how to build a house in the woods without any power tools"
    assert detection_text(title.translate(small), None) == detection_text(title, None)
    assert detect([detection_text("ʇxǝʇ uʍop ǝpısdn uɐ sᴉ sᴉɥʇ", None)]) == detect(["this is an upside down text"])
