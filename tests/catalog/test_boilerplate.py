"""Which sentences of a description say nothing."""

import pytest

from xlclass.catalog.boilerplate import without_boilerplate


@pytest.mark.parametrize(
    ("language", "line"),
    [
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
    ],
)
def test_without_boilerplate_drops_the_line(language, line):
    assert without_boilerplate(f"Bread with 500 g of flour.\n{line}\nBake it", language) == "Bread with 500 g of flour.\nBake it"


@pytest.mark.parametrize(
    "line",
    [
        "The subscription economy" + " explained at length" * 8,
        "Full recipe with the flour and the water: https://a.example/b",
        "New album on iTunes and Spotify",
        "Facebook was fined in Europe",
    ],
)
def test_without_boilerplate_keeps_what_says_something(line):
    assert without_boilerplate(line, "en").replace("\n", " ") == line
