"""The demo shop's list of wares: an outfitter's by a caravan road. Every word and place is made up.

A ware's options name its values with what each adds to the price in US cents; its variants are all
the combinations. `is_scarce` wares have so few units that a demo day sells them out.
"""

from typing import Final

import msgspec


class Ware(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list. Materials and colours are what a buyer filters by."""

    code: str
    title: str
    category: str
    usd_minor: int
    material: tuple[str, ...]
    colour: tuple[str, ...]
    origin: str
    description: str
    options: dict[str, dict[str, int]] = {}
    is_scarce: bool = False


ANVAR: Final = "Anvar Steppe"
SEFAR: Final = "Sefar Coast"
TILMA: Final = "Tilma Oasis"
KARVEL: Final = "Karvel Highlands"
OSSU: Final = "Ossu Delta"
MIRREN: Final = "Mirren Pass"

CAMP: Final = (
    Ware(
        code="TENT-DUNE",
        title="Dune tent for two",
        category="Camp > Tents",
        usd_minor=18900,
        material=("cotton canvas", "ash wood"),
        colour=("sand", "indigo"),
        origin=ANVAR,
        description="Two poles, nine pegs and a door on the lee side. It goes up while the kettle "
        "boils and stays up in a wind that takes hats.",
        options={"Colour": {"Sand": 0, "Indigo": 0}, "Floor": {"Without": 0, "Sewn in": 2600}},
    ),
    Ware(
        code="TENT-MERCHANT",
        title="Merchant's pavilion",
        category="Camp > Tents",
        usd_minor=64000,
        material=("cotton canvas", "ash wood", "brass"),
        colour=("red", "cream"),
        origin=SEFAR,
        description="Tall enough to stand, bargain and hang scales in. Three walls roll up, so the "
        "shop is open when you say it is.",
        options={"Stripe": {"Red": 0, "Cream": 0}},
        is_scarce=True,
    ),
    Ware(
        code="TENT-SOLO",
        title="One-night shelter",
        category="Camp > Tents",
        usd_minor=7400,
        material=("waxed cotton",),
        colour=("olive",),
        origin=KARVEL,
        description="A ridge line, a sheet and four cords. For the traveller who would rather "
        "carry another day's bread.",
    ),
    Ware(
        code="TENT-FAMILY",
        title="Caravan bell tent",
        category="Camp > Tents",
        usd_minor=42500,
        material=("cotton canvas", "steel"),
        colour=("cream", "sand"),
        origin=ANVAR,
        description="One pole in the middle and room for six around it, with a vent at the top "
        "for smoke and stories.",
        options={"Size": {"Four metres": 0, "Five metres": 9800}},
    ),
    Ware(
        code="TENT-SHADE",
        title="Noon shade sail",
        category="Camp > Tents",
        usd_minor=5200,
        material=("linen",),
        colour=("cream", "blue", "rust"),
        origin=TILMA,
        description="A square of heavy linen with a ring at each corner. Tie it to whatever "
        "stands still and wait for four o'clock.",
        options={"Colour": {"Cream": 0, "Blue": 0, "Rust": 0}},
    ),
    Ware(
        code="BED-ROLL",
        title="Felt bedroll",
        category="Camp > Bedding",
        usd_minor=9600,
        material=("wool felt", "leather"),
        colour=("grey", "brown"),
        origin=ANVAR,
        description="Pressed wool as thick as a thumb, with two straps. It forgives stones.",
        options={"Length": {"Regular": 0, "Long": 1500}},
    ),
    Ware(
        code="BED-BLANKET",
        title="Frost-night blanket",
        category="Camp > Bedding",
        usd_minor=8800,
        material=("yak wool",),
        colour=("grey", "red", "indigo"),
        origin=KARVEL,
        description="Woven double, so that one side is for the cold and one is for you. Heavier "
        "than it looks and lighter than shivering.",
        options={"Colour": {"Grey": 0, "Red": 0, "Indigo": 400}},
    ),
    Ware(
        code="BED-PILLOW",
        title="Buckwheat travel pillow",
        category="Camp > Bedding",
        usd_minor=2400,
        material=("cotton", "buckwheat husk"),
        colour=("blue",),
        origin=OSSU,
        description="Takes the shape of a tired head and keeps it. Empty it to pack, fill it "
        "again anywhere grain is sold.",
    ),
    Ware(
        code="BED-HAMMOCK",
        title="Date-palm hammock",
        category="Camp > Bedding",
        usd_minor=5900,
        material=("palm fibre",),
        colour=("sand", "green"),
        origin=TILMA,
        description="Knotted by hand for two trees and one afternoon. The ropes are spliced, "
        "not tied, and do not slip.",
        options={"Size": {"Single": 0, "Double": 1700}},
    ),
    Ware(
        code="LAMP-ROAD",
        title="Road lantern",
        category="Camp > Light",
        usd_minor=4800,
        material=("brass", "glass"),
        colour=("gold",),
        origin=SEFAR,
        description="Four panes, one flame and a handle that stays cool. It shows the next ten "
        "steps, which is all a road ever needs.",
        options={"Glass": {"Clear": 0, "Amber": 300, "Blue": 300}},
    ),
    Ware(
        code="LAMP-STAR",
        title="Star-pierced lamp",
        category="Camp > Light",
        usd_minor=6700,
        material=("tin",),
        colour=("silver", "black"),
        origin=MIRREN,
        description="A tin globe with three hundred small holes in the order of the winter sky. "
        "Hang it up and the tent has a heaven.",
        options={"Finish": {"Bright": 0, "Blackened": 500}},
    ),
    Ware(
        code="LAMP-OIL",
        title="Clay oil lamp",
        category="Camp > Light",
        usd_minor=1100,
        material=("clay",),
        colour=("rust",),
        origin=OSSU,
        description="Small, plain and older than any road. One filling burns for a long supper.",
    ),
    Ware(
        code="LAMP-CANDLE",
        title="Beeswax candles",
        category="Camp > Light",
        usd_minor=1600,
        material=("beeswax",),
        colour=("gold",),
        origin=KARVEL,
        description="Dipped forty times and scented by nothing but the hive. Sold in bundles "
        "tied with their own wick.",
        options={"Bundle": {"Six": 0, "Twelve": 1300}},
    ),
    Ware(
        code="LAMP-SIGNAL",
        title="Signal lamp with shutter",
        category="Camp > Light",
        usd_minor=11200,
        material=("steel", "glass"),
        colour=("red",),
        origin=MIRREN,
        description="A lens, a shutter and a card of the old code. Says good night to a camp on "
        "the other side of the valley.",
        is_scarce=True,
    ),
)

KITCHEN: Final = (
    Ware(
        code="TEA-SMOKE",
        title="Smoked caravan tea",
        category="Kitchen > Tea",
        usd_minor=1400,
        material=("black tea",),
        colour=("black",),
        origin=MIRREN,
        description="Dried beside the night fires on its way over the pass, or so it tastes. "
        "Takes milk, takes honey, takes its time.",
        options={"Weight": {"100 g": 0, "250 g": 1700}},
    ),
    Ware(
        code="TEA-MINT",
        title="Oasis mint tea",
        category="Kitchen > Tea",
        usd_minor=1100,
        material=("green tea", "mint"),
        colour=("green",),
        origin=TILMA,
        description="Green tea rolled small, with mint picked before the sun finds it. Pour from "
        "high up; that is half the flavour.",
        options={"Weight": {"100 g": 0, "250 g": 1400}},
    ),
    Ware(
        code="TEA-BRICK",
        title="Pressed tea brick",
        category="Kitchen > Tea",
        usd_minor=2900,
        material=("dark tea",),
        colour=("brown",),
        origin=KARVEL,
        description="Once it was money. Break a corner off, boil it hard, add salt and butter if "
        "the evening is long.",
    ),
    Ware(
        code="TEA-ROSE",
        title="Rose and cardamom tea",
        category="Kitchen > Tea",
        usd_minor=1550,
        material=("black tea", "rose", "cardamom"),
        colour=("red",),
        origin=SEFAR,
        description="A tea for guests: petals on top, cardamom underneath, and no hurry between.",
        options={"Weight": {"100 g": 0, "250 g": 1900}},
    ),
    Ware(
        code="TEA-ASH",
        title="High-meadow herb tea",
        category="Kitchen > Tea",
        usd_minor=950,
        material=("thyme", "yarrow"),
        colour=("green",),
        origin=KARVEL,
        description="Cut above the last trees, dried on a roof. For sore throats and quiet "
        "mornings.",
    ),
    Ware(
        code="TEA-CHEST",
        title="Tea chest of six",
        category="Kitchen > Tea",
        usd_minor=4900,
        material=("cedar wood", "black tea", "green tea"),
        colour=("brown",),
        origin=SEFAR,
        description="Six tins in a cedar box, one for each day of a short journey. The seventh "
        "day you buy more.",
        is_scarce=True,
    ),
    Ware(
        code="SPICE-SAFFRON",
        title="Saffron threads",
        category="Kitchen > Spices",
        usd_minor=1900,
        material=("saffron",),
        colour=("red",),
        origin=SEFAR,
        description="Three threads to a flower, a field to a handful. A pinch turns a pot of rice "
        "into an occasion.",
        options={"Weight": {"1 g": 0, "3 g": 3200}},
        is_scarce=True,
    ),
    Ware(
        code="SPICE-CUMIN",
        title="Steppe cumin",
        category="Kitchen > Spices",
        usd_minor=600,
        material=("cumin",),
        colour=("brown",),
        origin=ANVAR,
        description="Small dark seeds from dry ground. Toast them first and the whole camp will "
        "ask what is for supper.",
        options={"Weight": {"50 g": 0, "200 g": 1100}},
    ),
    Ware(
        code="SPICE-SUMAC",
        title="Coast sumac",
        category="Kitchen > Spices",
        usd_minor=650,
        material=("sumac",),
        colour=("red",),
        origin=SEFAR,
        description="Sour as a lemon and easier to carry. Scatter it on anything that came off "
        "a grill.",
    ),
    Ware(
        code="SPICE-PEPPER",
        title="Delta long pepper",
        category="Kitchen > Spices",
        usd_minor=900,
        material=("long pepper",),
        colour=("black",),
        origin=OSSU,
        description="Hotter than the round kind and sweeter after. Grate it like a nut.",
        options={"Weight": {"50 g": 0, "200 g": 1900}},
    ),
    Ware(
        code="SPICE-SALT",
        title="Pink road salt",
        category="Kitchen > Spices",
        usd_minor=500,
        material=("rock salt",),
        colour=("pink",),
        origin=MIRREN,
        description="Sawn from the cliff the road is named for. Comes as grains, or as a lump to "
        "argue over.",
        options={"Form": {"Grains": 0, "Lump": 400}},
    ),
    Ware(
        code="SPICE-SEVEN",
        title="Seven-wells spice mix",
        category="Kitchen > Spices",
        usd_minor=850,
        material=("coriander", "cumin", "pepper"),
        colour=("gold",),
        origin=TILMA,
        description="One spice for each well between the gate and the oasis. The cook at the "
        "fourth well would not say what hers is; we guessed.",
    ),
    Ware(
        code="POT-KETTLE",
        title="Copper camp kettle",
        category="Kitchen > Pots",
        usd_minor=7900,
        material=("copper", "tin"),
        colour=("copper",),
        origin=SEFAR,
        description="Beaten from one sheet and tinned inside. It sings a little before it boils.",
        options={"Size": {"One litre": 0, "Two litres": 2300}},
    ),
    Ware(
        code="POT-SAMOVAR",
        title="Travelling samovar",
        category="Kitchen > Pots",
        usd_minor=24500,
        material=("brass",),
        colour=("gold",),
        origin=ANVAR,
        description="Hot water for twenty cups from a fistful of pine cones. The tap is shaped "
        "like a small, patient bird.",
        is_scarce=True,
    ),
    Ware(
        code="POT-STEW",
        title="Three-legged stew pot",
        category="Kitchen > Pots",
        usd_minor=8600,
        material=("cast iron",),
        colour=("black",),
        origin=KARVEL,
        description="Stands in the embers on its own feet and feeds eight. It will outlive the "
        "recipe.",
        options={"Size": {"Four litres": 0, "Eight litres": 4100}},
    ),
    Ware(
        code="POT-CUPS",
        title="Set of tea glasses",
        category="Kitchen > Pots",
        usd_minor=3200,
        material=("glass",),
        colour=("green", "blue", "red"),
        origin=OSSU,
        description="Four narrow glasses with a waist to hold them by. Wrapped in straw, in a "
        "box that has crossed worse roads than yours.",
        options={"Colour": {"Green": 0, "Blue": 0, "Red": 200}},
    ),
    Ware(
        code="POT-GOURD",
        title="Leather-bound water gourd",
        category="Kitchen > Pots",
        usd_minor=2700,
        material=("gourd", "leather"),
        colour=("brown",),
        origin=TILMA,
        description="Keeps a litre cool by sweating a little, as we all do. With a cork on a "
        "cord, since corks wander.",
    ),
)
