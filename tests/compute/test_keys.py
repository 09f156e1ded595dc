"""Keys of audiences and computed traits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.compute.keys import check_key, is_key, key_of
from segue.core.errors import Invalid


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Order Completed Last 30days", "order_completed_last_30days"),
        ("Order Completed Last 30 Days", "order_completed_last_30_days"),
        ("  VIP – EU ", "vip_eu"),
        ("Ünïcode Café", "unicode_cafe"),
        ("OrderCompleted", "ordercompleted"),
        ("Order__Completed--2x", "order_completed_2x"),
        ("30 Day Buyers", "30_day_buyers"),
        ("Bob's VIPs", "bob_s_vips"),
        ("50% off & more", "50_off_more"),
        ("A/B test: variant B", "a_b_test_variant_b"),
        ("C++ users", "c_users"),
        ("Straße Berlin", "strasse_berlin"),
        ("Łódź Kunden", "lodz_kunden"),
        ("ＶＩＰ", "vip"),
        ("½ price", "1_2_price"),
        ("a.b.c", "a_b_c"),
        ("İstanbul", "istanbul"),
        ("🎉 Winners 🎉", "winners"),
        ("_private_", "private"),
        ("Ørsted Æble Œuvre Þór Đorđe ðı", "orsted_aeble_oeuvre_thor_dorde_di"),
    ],
)
def test_a_name_is_snake_cased(name, key):
    assert key_of(name) == key


@pytest.mark.parametrize("name", ["日本", "", "   ", "_", "🎉"])
def test_a_name_without_latin_letter_or_digit_asks_for_a_key(name):
    with pytest.raises(Invalid, match="give a key"):
        key_of(name)


def test_a_name_whose_key_would_be_too_long_asks_for_a_key():
    assert len(key_of("a" * 255)) == 255
    with pytest.raises(Invalid, match="give a key"):
        key_of("a" * 256)


@given(st.text(max_size=30))
def test_whatever_key_is_made_is_a_key_and_its_own_key(name):
    try:
        key = key_of(name)
    except Invalid:
        return
    assert is_key(key)
    assert key_of(key) == key


@pytest.mark.parametrize("key", ["", "a b", "A", "é", "a" * 256, "a\n"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(Invalid, match="is no key"):
        check_key(key)


def test_a_reserved_trait_and_a_type_of_id_are_refused():
    check_key("vip", id_types={"user_id"})
    with pytest.raises(Invalid, match="reserves"):
        check_key("email")
    with pytest.raises(Invalid, match="external id"):
        check_key("user_id", id_types={"user_id"})
