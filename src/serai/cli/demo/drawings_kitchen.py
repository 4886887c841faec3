"""Drawings of what is brewed, cooked and eaten."""

from serai.cli.demo.shapes import (
    Tones,
    circle,
    diamond,
    ellipse,
    leaf,
    line,
    mix,
    path,
    rect,
    star,
    turned,
)


def tea_tin(t: Tones) -> list[str]:
    return [
        rect(126, 128, 148, 180, t.main, round_by=10),
        rect(232, 128, 42, 180, t.shade, round_by=10),
        rect(118, 110, 164, 32, t.accent, round_by=8),
        rect(236, 110, 46, 32, mix(t.accent, t.dark, 0.25), round_by=8),
        rect(176, 94, 48, 18, t.dark, round_by=7),
        ellipse(200, 224, 54, 58, t.light),
        leaf(200, 214, 32, t.shade),
        leaf(178, 234, 26, t.main, turn=-52),
        leaf(222, 234, 26, t.main, turn=52),
        line("M200 236L200 262", t.dark, 4),
        rect(126, 290, 148, 8, t.glow),
    ]


def tea_flower_tin(t: Tones) -> list[str]:
    petals = [
        circle(200 + x, 222 + y, 17, t.main)
        for x, y in ((0, -24), (23, -7), (14, 20), (-14, 20), (-23, -7))
    ]
    return [
        path("M118 150L282 150L274 308L126 308z", t.main),
        path("M236 150L282 150L274 308L232 308z", t.shade),
        path("M118 150Q118 108 200 108Q282 108 282 150z", t.glow),
        path("M232 112Q282 118 282 150L240 150z", t.main),
        circle(200, 100, 13, t.dark),
        rect(112, 144, 176, 14, t.dark, round_by=6),
        circle(200, 224, 56, t.light),
        *petals,
        circle(200, 222, 12, t.accent),
    ]


def tea_brick(t: Tones) -> list[str]:
    return [
        path("M86 236L236 200L318 238L168 284z", t.glow),
        path("M86 236L168 284L168 314L86 264z", t.main),
        path("M168 284L318 238L318 266L168 314z", t.shade),
        path("M126 236L232 211L278 233L172 262z", t.main),
        star(202, 237, 22, t.glow),
        path("M92 196L176 152L238 186L160 226z", t.accent),
        path("M92 196L160 226L160 240L92 210z", mix(t.accent, t.dark, 0.3)),
        path("M160 226L238 186L238 200L160 240z", mix(t.accent, t.dark, 0.45)),
        leaf(166, 190, 26, t.light, turn=62),
        *(circle(x, y, 5, t.dark) for x, y in ((326, 292), (306, 300), (342, 304))),
    ]


def tea_chest(t: Tones) -> list[str]:
    tins = [
        rect(104 + 34 * n, 196, 28, 40, fill, round_by=5)
        for n, fill in enumerate((t.accent, t.light, t.sun) * 2)
    ]
    return [
        path("M92 208L118 110L282 110L308 208z", t.shade),
        path("M104 200L126 122L274 122L296 200z", t.glow),
        star(200, 160, 24, t.accent),
        *tins,
        *(rect(100 + 34 * n, 190, 36, 10, t.dark, round_by=4) for n in range(6)),
        rect(88, 216, 224, 94, t.main, round_by=6),
        rect(88, 250, 224, 10, t.shade),
        rect(180, 216, 40, 36, t.accent, round_by=4),
        circle(200, 234, 6, t.dark),
    ]


def spice_bowl(t: Tones) -> list[str]:
    grains = [
        circle(x, y, 5, t.glow)
        for x, y in ((186, 166), (214, 186), (172, 200), (228, 212), (198, 210), (152, 220))
    ]
    return [
        path("M104 240Q150 130 200 118Q250 130 296 240z", t.main),
        path("M200 118Q250 130 296 240L222 240Q232 160 200 118z", t.shade),
        *grains,
        path("M84 232L316 232Q310 306 240 310L160 310Q90 306 84 232z", t.accent),
        path(
            "M250 232L316 232Q310 306 240 310L212 310Q250 290 250 232z", mix(t.accent, t.dark, 0.25)
        ),
        rect(76, 226, 248, 16, t.light, round_by=8),
        *(diamond(120 + 40 * n, 270, 12, 16, t.light) for n in range(5)),
    ]


def spice_sack(t: Tones) -> list[str]:
    cloth, fold = mix(t.light, t.accent, 0.25), mix(t.light, t.dark, 0.35)
    return [
        path("M118 190Q84 280 116 310L284 310Q316 280 282 190z", cloth),
        path("M240 190L282 190Q316 280 284 310L236 310Q268 250 240 190z", fold),
        path("M122 188Q158 116 200 112Q242 116 278 188z", t.main),
        path("M200 112Q242 116 278 188L222 188Q230 140 200 112z", t.shade),
        *(circle(x, y, 5, t.glow) for x, y in ((184, 150), (210, 160), (166, 172), (194, 176))),
        path("M106 186Q200 214 294 186L290 210Q200 236 110 210z", mix(cloth, "#ffffff", 0.4)),
        rect(160, 244, 80, 44, t.accent, round_by=5),
        leaf(200, 266, 17, t.light, turn=60),
    ]


def salt_lump(t: Tones) -> list[str]:
    return [
        path("M96 306L112 214L170 150L246 160L304 228L310 306z", t.main),
        path("M170 150L246 160L216 224L150 216z", t.glow),
        path("M246 160L304 228L310 306L248 306L216 224z", t.shade),
        path("M112 214L150 216L140 306L96 306z", mix(t.glow, t.main, 0.5)),
        path("M150 216L216 224L196 270z", t.light),
        *(diamond(x, y, 9, 8, t.light) for x, y in ((76, 304), (330, 300), (346, 310), (58, 312))),
    ]


def kettle(t: Tones) -> list[str]:
    return [
        line("M134 180Q130 84 200 82Q270 84 266 180", t.dark, 11),
        path("M280 216Q324 214 322 160L346 152Q350 252 284 268z", t.shade),
        path("M120 304Q82 268 112 204Q140 164 200 164Q260 164 288 204Q318 268 280 304z", t.main),
        path("M232 170Q268 180 288 204Q318 268 280 304L236 304Q274 240 232 170z", t.shade),
        path("M152 172Q160 146 200 146Q240 146 248 172Q200 184 152 172z", t.glow),
        circle(200, 140, 11, t.accent),
        line("M128 230Q122 252 130 274", t.glow, 9),
        rect(112, 298, 176, 14, t.dark, round_by=7),
        line("M340 130Q328 112 342 96Q354 82 342 66", t.light, 5),
    ]


def samovar(t: Tones) -> list[str]:
    return [
        rect(182, 58, 36, 34, t.shade, round_by=6),
        path("M160 92L240 92L250 114L150 114z", t.glow),
        line(
            "M132 152Q92 150 100 190Q106 204 136 200M268 152Q308 150 300 190Q294 204 264 200",
            t.dark,
            9,
        ),
        path("M138 114L262 114Q284 190 238 248L162 248Q116 190 138 114z", t.main),
        path("M222 114L262 114Q284 190 238 248L214 248Q250 180 222 114z", t.shade),
        line("M156 138Q150 176 168 214", t.glow, 9),
        rect(188, 222, 24, 18, t.dark, round_by=4),
        line("M200 240L200 258M186 216L214 216", t.dark, 8),
        path("M158 248L242 248L258 276L142 276z", t.accent),
        rect(122, 276, 156, 16, t.main, round_by=6),
        *(circle(x, 300, 10, t.dark) for x in (138, 262)),
        path("M296 266L340 266L334 310L302 310z", t.light),
        path("M299 280L337 280L334 308L302 308z", t.accent),
    ]


def stew_pot(t: Tones) -> list[str]:
    return [
        path(
            "M150 318Q140 286 166 268Q166 296 190 304Q196 278 216 266Q218 296 236 "
            "300Q250 292 248 276Q270 296 256 318z",
            "#f2962e",
        ),
        path("M178 318Q172 302 188 292Q194 308 206 296Q224 304 222 318z", "#ffe08a"),
        line("M116 170Q120 76 200 76Q280 76 284 170", t.dark, 7),
        line("M126 256L104 314M274 256L296 314", t.shade, 13),
        path("M100 176L300 176Q312 276 200 280Q88 276 100 176z", t.main),
        path("M246 176L300 176Q312 270 222 279Q262 240 246 176z", t.shade),
        ellipse(200, 176, 104, 19, t.glow),
        ellipse(200, 177, 88, 13, t.accent),
        *(circle(x, y, 7, t.light) for x, y in ((164, 176), (204, 181), (240, 174))),
        line("M122 208Q124 234 142 252", t.glow, 8),
    ]


def tea_glasses(t: Tones) -> list[str]:
    drawn: list[str] = []
    for x, y in ((132, 142), (268, 142), (200, 172)):
        drawn += [
            ellipse(x, y + 132, 50, 9, t.light),
            path(
                f"M{x - 34} {y}Q{x - 40} {y + 34} {x - 20} {y + 62}Q{x - 34} {y + 100} "
                f"{x - 24} {y + 130}L{x + 24} {y + 130}Q{x + 34} {y + 100} {x + 20} "
                f"{y + 62}Q{x + 40} {y + 34} {x + 34} {y}z",
                mix(t.light, t.main, 0.3),
            ),
            path(
                f"M{x - 36} {y + 24}Q{x - 36} {y + 40} {x - 20} {y + 62}Q{x - 34} "
                f"{y + 100} {x - 24} {y + 130}L{x + 24} {y + 130}Q{x + 34} {y + 100} "
                f"{x + 20} {y + 62}Q{x + 36} {y + 40} {x + 36} {y + 24}z",
                t.main,
            ),
            ellipse(x, y + 24, 36, 7, t.glow),
            line(f"M{x - 24} {y + 10}L{x - 22} {y + 34}", "#ffffff", 4),
            rect(x - 25, y + 94, 50, 10, t.accent, round_by=4),
        ]
    return drawn


def gourd(t: Tones) -> list[str]:
    return [
        line("M148 126Q80 176 118 300", t.dark, 7),
        path(
            "M184 92L216 92L218 122Q254 142 240 182Q312 216 284 280Q264 312 200 "
            "312Q136 312 116 280Q88 216 160 182Q146 142 182 122z",
            t.main,
        ),
        path(
            "M216 120Q254 142 240 182Q312 216 284 280Q264 312 220 312Q276 262 228 "
            "190Q240 150 216 120z",
            t.shade,
        ),
        rect(184, 72, 32, 24, t.light, round_by=5),
        path("M158 174Q200 192 242 174L246 192Q200 212 154 192z", t.accent),
        line("M130 232Q128 262 148 286", t.glow, 9),
        line("M108 244Q200 286 292 244", t.dark, 5),
        diamond(200, 268, 17, 17, t.accent),
    ]


def fruit_bowl(t: Tones) -> list[str]:
    fruits = [
        turned(
            turn,
            x,
            y,
            ellipse(x, y, 32, 21, fill),
            line(f"M{x - 14} {y - 8}Q{x} {y - 14} {x + 12} {y - 9}", t.glow, 4),
        )
        for x, y, turn, fill in (
            (140, 212, -24, t.shade),
            (262, 210, 30, t.shade),
            (176, 178, 16, t.main),
            (232, 176, -28, t.main),
            (202, 208, 4, t.main),
            (204, 150, -8, t.main),
        )
    ]
    return [
        leaf(244, 128, 32, "#4f8a5b", turn=58),
        *fruits,
        path("M92 226L308 226Q300 300 238 308L162 308Q100 300 92 226z", t.light),
        path(
            "M252 226L308 226Q300 300 238 308L210 308Q250 286 252 226z", mix(t.light, t.dark, 0.2)
        ),
        rect(84, 220, 232, 14, t.accent, round_by=7),
        line("M112 258Q200 284 288 258", t.accent, 6),
    ]


def road_bread(t: Tones) -> list[str]:
    drawn: list[str] = [line("M84 96Q200 150 316 96", t.dark, 5)]
    for x, y in ((132, 170), (268, 170), (200, 216)):
        drawn += [
            line(f"M{x} {118 if x != 200 else 124}L{x} {y - 40}", t.dark, 4),
            circle(x, y, 56, t.shade),
            circle(x - 3, y - 4, 53, t.main),
            circle(x - 3, y - 4, 38, t.glow),
            circle(x, y, 15, t.sky),
            *(
                circle(x + dx, y + dy, 3.5, t.light)
                for dx, dy in ((-28, -22), (22, -28), (-32, 16), (26, 20))
            ),
        ]
    return drawn
