"""Sentences of a description that are removed as boilerplate, and sentences that stay."""

from xlclass.catalog.boilerplate import remove_boilerplate

BOILERPLATE = [
    ("en", "Don't forget to subscribe to my channel!"),
    ("en", "Follow me on everything"),
    ("fr", "Abonnez-vous à ma chaîne"),
    ("es", "Suscríbete a mi canal"),
    ("pt", "Se inscreva no canal e deixe seu like"),
    ("de", "Abonniert meinen Kanal"),
    ("it", "Iscriviti al canale"),
    ("ru", "Подписывайтесь на канал"),
    ("ar", "اشترك في القناة"),
    ("ar", "لا تنسوا الاشتراك في القناة"),
    ("tr", "KANALIMA ABONE OLMAYI UNUTMA"),
    ("id", "Jangan lupa subscribe ya"),
    ("vi", "Nhấn đăng ký kênh nhé"),
    ("ja", "チャンネル登録お願いします"),
    ("ko", "구독과 좋아요 부탁드려요"),
    ("zh", "请订阅我的频道"),
    ("zh-Hant", "請訂閱我的頻道"),
    ("hi", "चैनल को सब्सक्राइब करें"),
    ("th", "อย่าลืมกดติดตาม"),
    ("und", "Iscriviti al canale"),
    ("en", "Instagram: https://instagram.com/x"),
    ("en", "Camera: www.shop.example/lens"),
    ("en", "contact@mail.example"),
    ("en", "Facebook -"),
]
CONTENT = [
    "The subscription economy" + " explained at length" * 8,
    "Full recipe with the flour and the water: https://a.example/b",
    "New album on iTunes and Spotify",
    "Facebook was fined in Europe",
]


def test_remove_boilerplate_removes_requests_and_links():
    results = {line: remove_boilerplate(f"Bread with 500 g of flour.\n{line}\nBake it", language) for language, line in BOILERPLATE}
    assert results == {line: "Bread with 500 g of flour.\nBake it" for _, line in BOILERPLATE}


def test_remove_boilerplate_keeps_sentences_with_content():
    assert [remove_boilerplate(line, "en").replace("\n", " ") for line in CONTENT] == CONTENT
