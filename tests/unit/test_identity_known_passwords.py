"""Passwords that a reviewer tries, and that good ones pass; no list of others was copied."""

import time
from typing import Final

import pytest

from serai.contexts.identity.contract import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN
from serai.contexts.identity.model.familiar import WORDS
from serai.contexts.identity.model.passwords import find_fault

SHOP = "underhill-lamps"
EMAIL = "ada.lovelace@analytical.example"
WEAK: Final = tuple(
    r"""
christopher a123456789 123qweasdzxc !QAZ2wsx#EDC manchester 1qaz2wsx3edc !qaz@wsx#edc
qwertyuiop1 Qwerty123456 qwe123qwe123 zaq12wsxcde3 1q2w3e4r5t q1w2e3r4t5 qwer1234asdf
asdf1234zxcv zxcvbnm123 asdfghjkl1 poiuytrewq mnbvcxzlkj 0okm9ijn8uhb qwertyasdfgh 1234qwerasdf
abcd123456 abc123456789 abcdefg123 123456789a 123456789q a1234567890 1234567890a qq123456789
aa12345678 woaini1314520 password12 password1234 Password2024! P@ssword123 p4ssw0rd123
passw0rd!! Pa$$w0rd2023 mypassword1 password.1 thepassword newpassword1 administrator
administrator1 Admin123456 admin@12345 welcome2024 Welcome123! Welcome@123 changeme123
letmein2024 superadmin1 rootroot123 manchester1 manchesterunited liverpool1 liverpool123
liverpoolfc arsenal123456 chelseafc1 realmadrid1 barcelona10 barcelona1 juventus1897 fcbarcelona
bayernmuenchen borussia09 galatasaray1905 fenerbahce1907 celtic1888fc steelers43 yankees2009
dallascowboys alexander1 alexandra1 elizabeth1 jonathan123 stephanie1 katherine1 nathaniel1
sebastian1 maximilian valentina123 gabriella12 charlotte1 michelle123 jennifer2010 jessica1990
benjamin2015 christina1 annamaria1 maryjane420 johnjohn123 john.smith1985 daniel1995!
michael1987 thomas12345 birmingham nottingham washington philadelphia sanfrancisco losangeles
newyorkcity johannesburg melbourne1 frankfurt1 stuttgart0711 barcelona2024 hamburg040!
london2012 paris75000! istanbul34 amsterdam020 california1 deutschland1 argentina10 australia1
sunshine123 iloveyou12 iloveyou4ever ilovechelsea princess123 footballer football1! basketball
baseball123 butterfly1 chocolate1 dragon123456 dragon!!!!! monkey123456 superman123 batman12345
spiderman1 starwars1977 pokemon123456 harrypotter harrypotter7 gandalf1234 trustno1trustno1
dragondragon monkeymonkey passwordpassword adminadmin lovelovelove hellohello testtest123
qwertyqwerty 123123123123 abcabcabc1 121212121212 121121121121 147258369147 159753159753
aaaaaaaaaa1 0000000000 1111111111a nopassword1 drowssap1! 1drowssap1 nimdanimda summer2025!
Winter2024! Spring2023! Autumn2022 January2024 december25! monday12345 Sommer2024! Herbst2023!
!@#$%^&*() qwerty!@#$% 1a2s3d4f5g 9876543210 0987654321a samsung12345 samsunggalaxy microsoft1
facebook123 instagram1 iphone12345 minecraft1 fortnite123 playstation harleydavidson mustang1967
ferrari458 yamaha12345 lovelace1815 AdaLovelace1 analytical99! ada-lovelace-1 lovelaceada!
jordan23jordan
    """.split()  # noqa: SIM905 - a list of words is read as text
)
GOOD: Final = (
    "correct horse battery",
    "seven brass lanterns",
    "Tr0ub4dor&33x",
    "ada.lovelace likes trains",
    "пароль надёжный",
    "gk3 vv9 ql1",
    "violet umbrella tango",
    "purple monkey dish 77 washer",
    "mallory waits for her",
    "only victim knows this",
    "a quiet harbour at dawn",
    "spoon gravel tulip",
    "wet gravel under boots",
    "mossy ladder teapot",
    "eleven crooked candles",
    "the kettle sings at noon",
    "brisk walrus anthem",
    "my aunt keeps bees",
    "zinnia-cobalt-orbit",
    "pickled herring sonata",
    "Kq7vTz0mXw",
    "hT9!rLp2zQ",
    "x8Jm-4Wdp-Rk",
    "f3c9a17be04d",
    "jumbled yarn festival",
    "rusty anchor polka",
    "two left shoes waltz",
    "cheddar lighthouse vow",
    "lentil soup on fridays",
    "ma grand-mère danse",
    "drei kluge Dackel bellen",
    "ein Ofen voller Nüsse",
    "сто ворон на крыше",
    "tres gatos bajo lluvia",
    "vinegar compass thimble",
    "quartz mitten drumroll",
    "hollow reed whistles",
    "nineteen damp matches",
    "oboe trellis marzipan",
    "under the old viaduct",
    "mellow brook thicket",
    "plump raisin committee",
)


def test_there_are_enough_of_both() -> None:
    assert len({word for word in WEAK if len(word) >= PASSWORD_CHARS_MIN}) == len(WEAK) > 150
    assert len(set(GOOD)) == len(GOOD) >= 40
    assert len(WORDS) > 1_000


@pytest.mark.parametrize("password", WEAK)
def test_what_a_reviewer_tries_is_refused(password: str) -> None:
    for written in (password, password.upper(), f"{password}!", password + password):
        fault = find_fault(written, email=EMAIL, shop=SHOP)
        assert fault is not None, written
        assert fault.facts["reason"] in {"common", "address"}


@pytest.mark.parametrize("password", GOOD)
def test_a_good_one_passes(password: str) -> None:
    assert find_fault(password, email=EMAIL, shop=SHOP) is None


def test_a_word_of_her_address_is_next_to_nothing() -> None:
    fault = find_fault("ada-lovelace-1", email=EMAIL, shop=SHOP)
    assert fault is not None
    assert fault.facts["reason"] == "address"
    assert find_fault("analytical!!1", email="bob@beta.example", shop=SHOP) is None


@pytest.mark.parametrize(
    "password",
    ["underhill1", "Underhill2024!", "lamps@Underhill", "my-underhill-lamps", "s1underhill"],
)
def test_the_shop_s_name_is_next_to_nothing(password: str) -> None:
    fault = find_fault(password, email=EMAIL, shop=SHOP)
    assert fault is not None
    assert fault.facts["reason"] == "shop"
    assert find_fault("underhill nothing zebu", email=EMAIL, shop="shop.example:8443") is None


def test_the_longest_takes_no_time_to_speak_of() -> None:
    longest = "".join(chr(0x21 + n * 7 % 90) for n in range(PASSWORD_CHARS_MAX))
    began = time.perf_counter()
    assert find_fault(longest, email=EMAIL, shop=SHOP) is None
    assert time.perf_counter() - began < 0.5
