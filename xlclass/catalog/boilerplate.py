"""Removes the sentences of a description that ask for a subscription or list links, and do not describe the video."""

from __future__ import annotations

import re
from functools import cache

from xlclass.catalog.cleaning import normalize_nfkc

# A sentence that contains one of these, in lower case, does not describe its video. Names of shops are not here: "on iTunes"
# means music. English phrases apply to all descriptions, because channels also ask in English below a Hindi video; phrases of all
# languages apply if the language is unknown.
_PHRASES = {
    "en": """
        subscrib | follow me | follow us | follow my | follow him | follow her | like us on | find me on | find us on | like and share |
        check out my | check out our | click here | my instagram | business inquir | business enquir | hit the bell | ring the bell | bell icon |
        turn on notif | turn on my notif | post notif | notification bell | sign up for | all rights reserved | copyright disclaimer | fair use |
        on patreon | via patreon | join this channel | my social | our social | affiliate | promo code | discount code | leave a like | thumbs up |
        leave a comment | comment below | new videos every | watch more | stay connected | connect with me | connect with us | my merch |
        for more videos | donate to | donate at | join our discord | join my discord
    """,
    "fr": """
        abonnez | abonne-toi | abonne toi | abonne-vous | suivez-moi | suivez-nous | suivez moi | suivez nous | suis-moi sur | retrouvez-moi |
        retrouvez-nous | rejoignez-moi | rejoignez-nous | pouce bleu | activez la cloche | active la cloche | mes réseaux | nos réseaux |
        contact pro | code promo | lâche un like | cliquez ici | droits réservés
    """,
    "es": """
        suscríbe | suscribe | suscribirte | sígueme | sigueme | síguenos | siguenos | mis redes | nuestras redes | en redes | activa la campan |
        dale like | dale a like | deja tu like | comparte este | código de descuento | haz clic aquí | derechos reservados | contacto comercial
    """,
    "pt": """
        inscreva | inscrever no canal | se inscrev | siga-me | siga-nos | me siga | me sigam | nas redes sociais | minhas redes | nossas redes |
        ative o sino | ative as notifica | ativa o sininho | deixe seu like | deixa o like | deixe o like | compartilhe este | clique aqui |
        contato comercial | contato profissional | cupom de desconto | seja membro
    """,
    "de": """
        abonnier | kanal abo | folge mir | folgt mir | folge uns | folgt uns | aktiviere die glocke | glocke aktiv | daumen hoch | lasst ein like |
        lass ein like | rabattcode | klick hier | alle rechte vorbehalten | geschäftliche anfrag | kanalmitglied
    """,
    "it": """
        iscriviti | iscrivetevi | seguimi | seguiteci | seguitemi | seguici | attiva la campan | lascia un like | lasciate un like |
        mettete mi piace | metti mi piace | i miei social | codice sconto | clicca qui | diritti riservati
    """,
    "nl": """
        abonneer | volg mij | volg me | volg ons | duimpje omhoog | klik hier | kortingscode
    """,
    "pl": """
        subskryb | zasubskryb | obserwuj mnie | śledź mnie | zostaw łapk | łapka w górę | łapkę w górę | kliknij tutaj | kod rabatowy |
        wszelkie prawa zastrzeżone
    """,
    "ru": """
        подписывай | подпишись | подпишитесь | подписк | ставьте лайк | ставь лайк | жми на колокольчик | нажмите на колокольчик |
        нажми колокольчик | мои соцсет | наши соцсет | мы в соцсет | мы в социальных | по вопросам рекламы | по вопросам сотрудничества |
        по рекламе | промокод | все права защищены | поддержать канал | группа вк | мой инстаграм | мы вконтакте
    """,
    "uk": """
        підписуй | підпишись | підпишіться | підписк | ставте лайк | наші соцмереж | ми в соцмереж | з питань реклами | натисніть дзвіночок
    """,
    "ar": """
        اشترك في | اشتركوا في | الاشتراك في | الإشتراك في | اشترك بالقناة | فعل الجرس | فعلوا الجرس | تفعيل الجرس | زر الجرس | تابعونا على |
        تابعوني على | تابعنا على | تابعني على | حسابي على | حسابنا على | صفحتنا على | صفحتي على | لا تنسى الاشتراك | لا تنسوا الاشتراك |
        جميع الحقوق محفوظة | للاعلان | للإعلان | كود خصم
    """,
    "tr": """
        abone ol | kanalıma abone | kanalımıza abone | takip et | takip edin | bildirimleri aç | zile bas | beğenmeyi unutma | sosyal medya hesap |
        sosyal medyada takip | iş birliği için | işbirliği için | iletişim için | indirim kodu | tüm hakları saklı | buraya tıkla
    """,
    "id": """
        jangan lupa subs | jangan lupa like | jangan lupa untuk subs | jangan lupa untuk like | silakan subs | silahkan subs | follow ig |
        ikuti saya | ikuti kami | nyalakan lonceng | aktifkan lonceng | media sosial kami | media sosial saya | kerja sama bisnis | hubungi kami |
        klik di sini | klik disini | tekan tombol subs | kode promo
    """,
    "vi": """
        đăng ký kênh | đăng kí kênh | nhấn đăng ký | hãy đăng ký | theo dõi mình | theo dõi chúng tôi | bấm chuông | nhấn chuông | bật chuông |
        like và share | liên hệ quảng cáo | liên hệ công việc | mã giảm giá | bấm vào đây | bản quyền thuộc
    """,
    "th": """
        กดติดตาม | กดไลค์ | กดไลก์ | กดกระดิ่ง | กดแชร์ | ติดตามได้ที่ | ติดต่องาน | ติดต่อโฆษณา | ฝากติดตาม
    """,
    "ja": """
        チャンネル登録 | 高評価 | フォローお願い | フォローして | フォローよろしく | お仕事のご依頼 | お仕事依頼 | お問い合わせ | ファンレター |
        通知オン | メンバーシップ | 無断転載 | グッズ情報 | 登録よろしく | 登録お願い
    """,
    "ko": """
        구독과 좋아요 | 구독, 좋아요 | 구독 좋아요 | 구독하기 | 구독 부탁 | 구독해 | 구독과 | 알림 설정 | 알림설정 | 좋아요와 구독 | 좋아요 부탁 |
        비즈니스 문의 | 광고 문의 | 협찬 문의 | 팔로우 | 무단 전재 | 후원 계좌
    """,
    "zh": """
        订阅 | 訂閱 | 关注我 | 關注我 | 追蹤我 | 开启小铃铛 | 開啟小鈴鐺 | 小鈴鐺 | 小铃铛 | 點讚 | 点赞 | 按讚 | 合作邀约 | 合作邀約 | 商务合作 |
        商務合作 | 工商合作 | 加入會員 | 加入会员 | 粉絲專頁 | 版权所有 | 版權所有
    """,
    "hi": """
        सब्सक्राइब | सब्स्क्राइब | चैनल को सब | फॉलो करें | फ़ॉलो करें | फॉलो कर | घंटी दबा | बेल आइकन | लाइक करें | शेयर करें | लाइक और शेयर |
        जुड़ें हमारे | संपर्क करें
    """,
}
_LISTS = {language: tuple(phrase.strip() for phrase in normalize_nfkc(phrases).split("|")) for language, phrases in _PHRASES.items()}
_ALL = tuple(phrase for phrases in _LISTS.values() for phrase in phrases)
_BY_LANGUAGE = {language: tuple(dict.fromkeys(_LISTS["en"] + phrases)) for language, phrases in _LISTS.items()} | {"und": _ALL}
_BY_LANGUAGE |= {"zh-Hant": _BY_LANGUAGE["zh"], "yue": _BY_LANGUAGE["zh"], "ms": _BY_LANGUAGE["id"], "az": _BY_LANGUAGE["tr"], "be": _BY_LANGUAGE["ru"]}
_BULLETS = "\u3002\u0964|\u2022\u25ba\u25b6\u25cf\u2605\u25a0\n"  # and full stops that need no space after them
_LINK = re.compile(r"(?:https?://|www\.)[!-~]+|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]+", re.IGNORECASE)
_SENTENCE_END = re.compile(rf"[\s{_BULLETS}](?:(?<=[{_BULLETS}])|(?<=[.!?:;\u2026\u061f]\s))\s*")
# A label in front of a link, such as "My Instagram:", with no other content
_SITES = (
    "facebook|facebook page|fb|instagram|insta|ig|twitter|tik ?tok|snap(?:chat)?|youtube|discord|twitch|telegram|whats ?app|patreon|pinterest|tumblr"
    "|google ?\\+?|vk|vkontakte|вк|вконтакте|инстаграм|фейсбук|телеграм|weibo|微博|threads|linkedin|reddit|website|web|site|blog|e-?mail|mail|contact"
    "|newsletter|merch|shop|インスタ|ツイッター|페이스북|인스타그램"
)
_OWNERS = "my|our|on|official|mon|ma|mes|mi|mis|meu|mein|il mio|мой|наш"
_LABEL = re.compile(rf"[\W_]*(?:(?:{_OWNERS})\s+)?(?:{_SITES})[\W_]*(?:@?[\w.]{{2,30}})?[\W_]*", re.IGNORECASE)
_MAX_SENTENCE = 160  # characters; a longer sentence contains more than a request
_MAX_LABEL = 30  # characters beside the link in a line of a link list


def remove_boilerplate(description: str, language: str) -> str:
    r"""`description` without lists of links and without sentences that ask to subscribe or follow; one line per sentence.

    >>> remove_boilerplate("We bake bread.\nInstagram: https://a.b/c\nDon't forget to SUBSCRIBE! Flour, 500 g", "en")
    'We bake bread.\nFlour, 500 g'
    """
    if "://" in description or "@" in description or "www." in description:
        description = "\n".join(line for line in description.split("\n") if not _is_labelled_link(line))
    lower = _lower(description)
    phrases = [phrase for phrase in _candidates(lower, language) if phrase in lower]
    return "\n".join(sentence for sentence in _SENTENCE_END.split(description) if sentence and not _is_boilerplate(sentence, phrases))


def _lower(text: str) -> str:
    return text.lower().replace("i\u0307", "i")  # İ becomes i and a combining dot


def _candidates(lower: str, language: str) -> list[str]:
    """The phrases of `language` that `lower` may contain: all whose first non-ASCII character, if any, occurs in it."""
    by_character = _by_character(language if language in _BY_LANGUAGE else "en")
    characters = {""} if lower.isascii() else {"", *lower}
    return [phrase for character in by_character.keys() & characters for phrase in by_character[character]]


@cache
def _by_character(language: str) -> dict[str, list[str]]:
    """The phrases of `language` by their first non-ASCII character, "" for those that have none."""
    groups: dict[str, list[str]] = {}
    for phrase in _BY_LANGUAGE[language]:
        groups.setdefault(next((character for character in phrase if not character.isascii()), ""), []).append(phrase)
    return groups


def _is_labelled_link(line: str) -> bool:
    """Whether a line contains a link and at most a label beside it."""
    label = _LINK.sub("", line)
    return label != line and len(label.strip()) <= _MAX_LABEL


def _is_boilerplate(sentence: str, phrases: list[str]) -> bool:
    """Whether a sentence contains one of `phrases`, those that occur in the whole text, or is a label of a link."""
    if len(sentence) > _MAX_SENTENCE:
        return False
    lower = _lower(sentence) if phrases else ""
    return any(phrase in lower for phrase in phrases) or len(sentence) <= _MAX_LABEL and _LABEL.fullmatch(sentence) is not None
