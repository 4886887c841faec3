"""What the demo keeps between runs, and the goods as the API takes them."""

import stat
from pathlib import Path
from uuid import UUID

from serai.cli.demo.goods import demo_products
from serai.cli.demo.shop import (
    HEADER_FILE,
    KEY_FILE,
    Credentials,
    keep_credentials,
    product_input,
    read_credentials,
)
from serai.contexts.catalog.contract import Price

OWN = Credentials(UUID(int=7), "serai_key_text")


def test_the_key_is_kept_for_its_owner_only_and_found_again(tmp_path: Path) -> None:
    keep_credentials(tmp_path, Credentials(UUID(int=6), "an older one"))
    keep_credentials(tmp_path, OWN)
    assert read_credentials(tmp_path) == OWN
    assert (tmp_path / HEADER_FILE).read_text() == "Authorization: Bearer serai_key_text\n"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {KEY_FILE: 0o600, HEADER_FILE: 0o600}


def test_nothing_kept_and_nothing_of_use_are_the_same(tmp_path: Path) -> None:
    assert read_credentials(tmp_path) is None
    (tmp_path / KEY_FILE).write_text('{"tenant_id": 1}')
    assert read_credentials(tmp_path) is None


def test_a_product_is_sent_with_all_that_the_list_says_of_it() -> None:
    product = next(
        p for p in demo_products("http://shop.example") if p.handle == "dune-tent-for-two"
    )
    sent = product_input(product)
    assert (sent.handle, sent.title, sent.status) == (product.handle, product.title, "published")
    assert sent.media == ["http://shop.example/media/demo/dune-tent-for-two.svg"]
    assert sent.option_names == ["Colour", "Floor"]
    assert [variant.sku for variant in sent.variants] == [v.sku for v in product.variants]
    assert sent.variants[0].options == {"Colour": "Sand", "Floor": "Without"}
    assert sent.variants[0].prices[0] == Price("USD", 18_900)
