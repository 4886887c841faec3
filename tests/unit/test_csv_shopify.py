"""Shopify's layout, in the header spellings up to 2024 and in those since."""

import io

from serai.contexts.catalog.gateways.csv_rows import (
    PriceRow,
    ProductRow,
    RowProblem,
    VariantRow,
    read_products,
)

OLDER = """\
Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Option1 Linked To,Option2 Name,Option2 Value,Option3 Name,Option3 Value,Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Fulfillment Service,Variant Price,Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Variant Barcode,Image Src,Image Position,Image Alt Text,Gift Card,SEO Title,SEO Description,Google Shopping / MPN,Colour (product.metafields.shopify.color-pattern),Variant Image,Variant Weight Unit,Cost per item,Price / International,Compare At Price / International,Included / International,Status
rug,Dune rug,"<p>Knotted,
by hand.</p>",Sefar,Home & Garden > Decor > Rugs,Rug,"wool, red,wool",TRUE,Size,Small,,Colour,Red,,,RUG-S,900,shopify,7,deny,manual,89.00,99.00,TRUE,TRUE,'4012345,https://cdn.example.com/2.jpg,2,A rug,FALSE,,,,,https://cdn.example.com/s.jpg,kg,,,,TRUE,active
rug,,,,,,,,,Large,,,Red,,,RUG-L,1900,,3,deny,manual,149.00,,TRUE,TRUE,,https://cdn.example.com/1.jpg,1,,,,,,,,kg,,,,,
rug,,,,,,,,,,,,,,,,,,,,,,,,,,https://cdn.example.com/3.jpg,3,,,,,,,,,,,,,
tea,Mint tea,,,,,,FALSE,Title,Default Title,,,,,,TEA,50,shopify,,deny,manual,4.5,,TRUE,TRUE,,,,,,,,,,,g,,,,,active
"""  # noqa: E501 - rows of a file

NEWER = """\
Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,Option1 name,Option1 value,Option1 Linked To,Price,Compare-at price,Cost per item,Charge tax,Tax code,Unit price total measure,Inventory tracker,Inventory quantity,Continue selling when out of stock,Weight value (grams),Weight unit for display,Requires shipping,Fulfillment service,Product image URL,Image position,Image alt text,Variant image URL,Gift card,SEO title,SEO description,Google Shopping / Gender
Lamp,lamp,Brass.,,,,,TRUE,Active,LAMP-S,401,Size,Small,,20,,,TRUE,,,shopify,5,DENY,200,g,TRUE,manual,https://cdn.example.com/l.png,1,,,FALSE,,,
,lamp,,,,,,,,LAMP-L,402,,Large,,30,,,TRUE,,,shopify,6,DENY,200,g,TRUE,manual,,,,https://cdn.example.com/ll.png,FALSE,,,
Oil,oil,,,,,,,Archived,OIL,,,,,3,,,,,,,,,,,,,,,,,,,,
Wick,wick,,,,,,,Unlisted,WICK,,,,,1,,,,,,,,,,,,,,,,,,,,
"""  # noqa: E501 - rows of a file


def read(text: str, currency: str = "EUR") -> list[ProductRow | RowProblem]:
    return list(read_products(io.BytesIO(text.encode()), layout="auto", default_currency=currency))


def problem_of(row: str) -> tuple[str | None, str]:
    header = (
        "Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
        "Variant SKU,Variant Price,Variant Inventory Qty,Image Src,Status,Published"
    )
    (problem,) = (p for p in read(f"{header}\n{row}\n") if isinstance(p, RowProblem))
    assert problem.row == 2
    return problem.column, problem.code


def test_the_older_header_is_read_cell_by_cell() -> None:
    rug, tea = read(OLDER)
    assert rug == ProductRow(
        row=2,
        handle="rug",
        title="Dune rug",
        description="<p>Knotted,\nby hand.</p>",
        categories=("Home & Garden > Decor > Rugs",),
        facets={"vendor": ("Sefar",), "type": ("Rug",), "tag": ("wool", "red")},
        media=tuple(f"https://cdn.example.com/{number}.jpg" for number in (1, 2, 3)),
        option_names=("Size", "Colour"),
        variants=(
            VariantRow(
                row=2,
                sku="RUG-S",
                options={"Size": "Small", "Colour": "Red"},
                prices=(PriceRow("EUR", 8900),),
                stock=7,
                barcode="4012345",
                media=("https://cdn.example.com/s.jpg",),
            ),
            VariantRow(
                row=4,
                sku="RUG-L",
                options={"Size": "Large", "Colour": "Red"},
                prices=(PriceRow("EUR", 14900),),
                stock=None,
            ),
        ),
    )
    assert tea == ProductRow(
        row=6,
        handle="tea",
        title="Mint tea",
        status="draft",
        variants=(VariantRow(row=6, sku="TEA", prices=(PriceRow("EUR", 450),)),),
    )


def test_the_newer_header_is_read_cell_by_cell() -> None:
    lamp, oil, wick = read(NEWER, "JPY")
    assert lamp == ProductRow(
        row=2,
        handle="lamp",
        title="Lamp",
        description="Brass.",
        media=("https://cdn.example.com/l.png",),
        option_names=("Size",),
        variants=(
            VariantRow(
                row=2,
                sku="LAMP-S",
                options={"Size": "Small"},
                prices=(PriceRow("JPY", 20),),
                stock=5,
                barcode="401",
            ),
            VariantRow(
                row=3,
                sku="LAMP-L",
                options={"Size": "Large"},
                prices=(PriceRow("JPY", 30),),
                stock=6,
                barcode="402",
                media=("https://cdn.example.com/ll.png",),
            ),
        ),
    )
    assert isinstance(oil, ProductRow)
    assert isinstance(wick, ProductRow)
    assert (oil.status, wick.status) == ("archived", "draft")


def test_shopifys_own_rules_have_their_codes() -> None:
    assert problem_of("a,A,,,,,,1,,,,") == ("Variant SKU", "missing_sku")
    assert problem_of("a,A,,,,,S,1,-2,,,") == ("Variant Inventory Qty", "negative_stock")
    assert problem_of("a,A,,,,,S,,,,,") == (None, "missing_price")
    assert problem_of("a,A,,,,,S,1,,,sold,") == ("Status", "bad_status")
    assert problem_of("a,A,,,,,S,1,,,,perhaps") == ("Published", "bad_truth")
    assert problem_of("a,A,,,,,S,1,,picture.jpg,,") == ("Image Src", "bad_url")
    assert problem_of("a,A,Size,,,,S,1,,,,") == ("Option1 Value", "missing_option_value")
    assert problem_of("a,A,,Small,,,S,1,,,,") == ("Option1 Value", "unexpected_option_value")
    assert problem_of("a,A,,,Size,Small,S,1,,,,") == ("Option1 Name", "bad_option_name")
    assert problem_of("a,A,Size,S,,M,S,1,,,,") == ("Option2 Value", "unexpected_option_value")
    assert problem_of("a,,,,,,S,1,,,,") == ("Title", "missing_title")


def test_an_option_named_title_with_a_real_value_is_an_option() -> None:
    (product,) = read(
        "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price\n"
        "map,Map,Title,Lithograph,M,5\n"
    )
    assert isinstance(product, ProductRow)
    assert product.variants[0].options == {"Title": "Lithograph"}


def test_a_bad_picture_row_costs_that_picture_only() -> None:
    header = "Handle,Title,Variant SKU,Variant Price,Image Src\n"
    problem, product = read(header + "a,A,S,1,http://m/1\na,,,,file.jpg\na,,,,http://m/2\n")
    assert isinstance(problem, RowProblem)
    assert (problem.row, problem.code) == (3, "bad_url")
    assert isinstance(product, ProductRow)
    assert product.media == ("http://m/1", "http://m/2")


def test_an_option_needs_both_its_columns() -> None:
    (problem,) = read("Handle,Title,Option1 Name,Variant SKU,Variant Price\na,A,,S,1\n")
    assert isinstance(problem, RowProblem)
    assert (problem.row, problem.code) == (1, "missing_column")
