"""Drawings of what is carried, read, worn and walked upon."""

from serai.cli.demo.shapes import (
    Tones,
    circle,
    diamond,
    ellipse,
    flattened,
    line,
    mix,
    path,
    rect,
    ring,
    star,
    turned,
)


def saddlebags(t: Tones) -> list[str]:
    drawn: list[str] = [path("M120 158Q200 96 280 158L280 190Q200 132 120 190z", t.accent)]
    for x in (82, 212):
        drawn += [
            rect(x, 160, 106, 144, t.main, round_by=18),
            rect(x + 72, 160, 34, 144, t.shade, round_by=16),
            path(
                f"M{x - 4} 176Q{x - 4} 152 {x + 20} 152L{x + 86} 152Q{x + 110} 152 "
                f"{x + 110} 176L{x + 110} 208Q{x + 53} 250 {x - 4} 208z",
                t.glow,
            ),
            rect(x + 46, 196, 14, 74, t.dark, round_by=4),
            rect(x + 41, 238, 24, 20, t.sun, round_by=4),
            rect(x + 47, 244, 12, 8, t.dark),
        ]
    return [*drawn, diamond(200, 142, 22, 12, t.light)]


def satchel(t: Tones) -> list[str]:
    return [
        line("M108 190Q116 70 200 70Q284 70 292 190", t.dark, 9),
        rect(92, 170, 216, 138, t.shade, round_by=16),
        path(
            "M92 186Q92 166 112 166L288 166Q308 166 308 186L308 232Q308 262 278 "
            "262L122 262Q92 262 92 232z",
            t.main,
        ),
        path("M92 186Q92 166 112 166L288 166Q308 166 308 186L308 196L92 196z", t.glow),
        rect(136, 226, 22, 62, t.dark, round_by=5),
        rect(242, 226, 22, 62, t.dark, round_by=5),
        rect(132, 256, 30, 18, t.accent, round_by=4),
        rect(238, 256, 30, 18, t.accent, round_by=4),
    ]


def backpack(t: Tones) -> list[str]:
    return [
        line("M126 306L126 92M274 306L274 92", mix(t.accent, t.dark, 0.4), 11),
        line("M126 110L274 110", mix(t.accent, t.dark, 0.4), 9),
        rect(112, 74, 176, 44, t.accent, round_by=22),
        ellipse(126, 96, 14, 22, mix(t.accent, t.dark, 0.3)),
        path(
            "M116 150Q116 118 200 118Q284 118 284 150L292 290Q292 308 272 308L128 "
            "308Q108 308 108 290z",
            t.main,
        ),
        path("M244 124Q284 130 284 150L292 290Q292 308 272 308L240 308Q262 220 244 124z", t.shade),
        path("M112 148Q112 116 200 116Q288 116 288 148Q276 206 200 206Q124 206 112 148z", t.glow),
        rect(190, 166, 20, 62, t.dark, round_by=5),
        rect(185, 204, 30, 18, t.light, round_by=4),
        rect(142, 234, 116, 62, t.shade, round_by=12),
        rect(142, 234, 116, 22, t.main, round_by=11),
    ]


def grain_sack(t: Tones) -> list[str]:
    return [
        path("M156 104Q200 128 244 104L258 84Q226 100 200 92Q174 100 142 84z", t.glow),
        path(
            "M156 112Q84 190 102 292Q106 312 130 312L270 312Q294 312 298 292Q316 "
            "190 244 112Q200 128 156 112z",
            t.main,
        ),
        path("M244 112Q316 190 298 292Q294 312 270 312L238 312Q272 210 226 118z", t.shade),
        path("M120 178Q200 200 280 178L287 196Q200 220 113 196z", t.accent),
        path("M107 216Q200 240 293 216L296 228Q200 254 104 228z", t.accent),
        rect(146, 100, 108, 16, t.dark, round_by=8),
        *(turned(a, 200, 278, ellipse(200, 262, 6, 13, t.dark)) for a in (-50, 0, 50)),
    ]


def purse(t: Tones) -> list[str]:
    return [
        line("M158 142Q128 96 104 108M242 142Q272 96 296 108", t.accent, 7),
        circle(104, 108, 10, t.accent),
        circle(296, 108, 10, t.accent),
        path("M150 96Q174 112 200 98Q226 112 250 96L240 150L160 150z", t.glow),
        path("M160 150Q84 196 104 270Q116 310 200 310Q284 310 296 270Q316 196 240 150z", t.main),
        path("M240 150Q316 196 296 270Q284 310 224 310Q282 240 214 150z", t.shade),
        rect(150, 140, 100, 16, t.accent, round_by=8),
        line("M156 176Q132 214 134 250", t.glow, 8),
        circle(206, 240, 34, t.sun),
        circle(206, 240, 24, mix(t.sun, t.dark, 0.25)),
        star(206, 240, 17, t.sun),
        *(ellipse(x, y, 22, 8, t.sun) for x, y in ((322, 308), (326, 298), (72, 308))),
    ]


def folded_map(t: Tones) -> list[str]:
    paper, fold = t.light, mix(t.light, t.dark, 0.14)
    return [
        path("M78 148L148 122L148 282L78 308z", paper),
        path("M148 122L224 148L224 308L148 282z", fold),
        path("M224 148L322 116L322 276L224 308z", paper),
        path("M78 232Q112 202 148 222L148 282L78 308z", mix(t.near, t.light, 0.3)),
        path("M224 148L264 135Q262 182 224 190z", mix(t.sun, t.light, 0.35)),
        line("M92 268Q130 238 166 248T232 214T306 150", t.accent, 6),
        line("M98 186L112 172L126 186M176 176L192 158L208 180", t.shade, 5),
        line("M252 238L270 256M270 238L252 256", t.accent, 7),
        circle(92, 268, 8, t.dark),
        circle(306, 150, 8, t.dark),
    ]


def star_chart(t: Tones) -> list[str]:
    night, ink = mix(t.main, "#101634", 0.45), mix(t.light, "#ffe9a8", 0.3)
    stars = ((150, 168), (186, 150), (232, 166), (258, 206), (226, 240), (170, 232), (196, 196))
    joined = "M" + "L".join(f"{x} {y}" for x, y in stars)
    return [
        rect(96, 92, 208, 216, t.light, round_by=6),
        rect(106, 102, 188, 196, night, round_by=4),
        ring(200, 200, 84, ink, 2),
        ring(200, 200, 54, ink, 1.5),
        line(joined, mix(night, ink, 0.55), 2.5),
        *(star(x, y, 11 if n % 2 else 15, ink) for n, (x, y) in enumerate(stars)),
        *(
            circle(x, y, 2.5, ink)
            for x, y in ((128, 124), (276, 130), (266, 272), (124, 264), (214, 122))
        ),
        rect(86, 82, 228, 16, t.accent, round_by=8),
        rect(86, 300, 228, 16, t.accent, round_by=8),
    ]


def book(t: Tones) -> list[str]:
    return [
        path(
            "M118 96L278 96Q294 96 294 112L294 312L134 312Q112 312 112 290L112 102Q112 96 118 96z",
            t.shade,
        ),
        path("M132 286L286 286L286 304L134 304Q122 304 122 294Q122 286 132 286z", t.light),
        path(
            "M118 88L282 88Q290 88 290 96L290 284L134 284Q118 284 112 294L112 96Q112 88 118 88z",
            t.main,
        ),
        rect(112, 88, 26, 202, t.shade, round_by=5),
        rect(160, 124, 108, 72, t.light, round_by=5),
        line("M176 146L252 146M176 162L252 162M176 178L226 178", t.shade, 5),
        path("M244 284L264 284L264 336L254 324L244 336z", t.accent),
        rect(268, 88, 10, 196, t.accent),
    ]


def sketchbook(t: Tones) -> list[str]:
    return [
        path("M200 176Q150 148 70 162L70 292Q150 278 200 306z", t.light),
        path("M200 176Q250 148 330 162L330 292Q250 278 200 306z", mix(t.light, t.dark, 0.08)),
        path(
            "M62 170L70 162L70 292Q150 278 200 306Q250 278 330 292L330 162L338 "
            "170L338 304Q250 290 200 316Q150 290 62 304z",
            t.main,
        ),
        line(
            "M96 262Q104 226 118 232Q128 204 140 230Q150 202 160 232Q176 234 170 "
            "262M170 236Q182 224 180 206L192 204M108 262L108 276M160 262L160 276",
            t.dark,
            5,
        ),
        line(
            "M226 200Q270 184 310 190M226 220Q270 204 310 210M226 240Q256 230 286 228",
            mix(t.shade, t.light, 0.4),
            5,
        ),
        turned(
            38,
            262,
            130,
            rect(254, 70, 16, 106, t.accent),
            path("M254 176L270 176L262 200z", t.light),
            path("M258 188L266 188L262 200z", t.dark),
        ),
    ]


def letter(t: Tones) -> list[str]:
    back = mix(t.light, t.dark, 0.18)
    return [
        turned(
            -7,
            190,
            200,
            rect(112, 84, 164, 150, t.light, round_by=4),
            line("M136 114L252 114M136 136L252 136M136 158L220 158", back, 5),
        ),
        rect(84, 172, 232, 136, mix(t.light, t.main, 0.16), round_by=8),
        path(
            "M84 300L172 232L228 232L316 300Q314 308 308 308L92 308Q86 308 84 300z",
            mix(t.light, t.main, 0.28),
        ),
        path(
            "M84 180Q86 172 92 172L308 172Q314 172 316 180L212 258Q200 266 188 258z",
            mix(t.light, "#ffffff", 0.5),
        ),
        circle(200, 252, 30, "#b3342f"),
        circle(200, 252, 21, "#942722"),
        star(200, 252, 16, "#d9655c"),
    ]


def ink_bottle(t: Tones) -> list[str]:
    return [
        turned(
            24,
            290,
            180,
            path("M284 300Q262 180 300 66Q326 170 296 300z", t.light),
            line("M292 296Q288 190 300 86", t.shade, 4),
        ),
        path(
            "M98 218Q98 198 122 194L158 186L158 156L222 156L222 186L258 194Q282 "
            "198 282 218L282 296Q282 312 266 312L114 312Q98 312 98 296z",
            mix(t.light, t.main, 0.35),
        ),
        path("M108 232L272 232L272 294Q272 302 264 302L116 302Q108 302 108 294z", t.main),
        path("M230 232L272 232L272 294Q272 302 264 302L226 302z", t.shade),
        rect(148, 122, 84, 38, t.accent, round_by=7),
        rect(206, 122, 26, 38, mix(t.accent, t.dark, 0.25), round_by=7),
        rect(140, 244, 96, 42, t.light, round_by=4),
        line("M156 266Q170 250 182 266T212 264", t.dark, 4),
    ]


def compass(t: Tones) -> list[str]:
    ticks = "".join(
        turned(30 * n, 200, 206, line("M200 124L200 136", t.dark, 4)) for n in range(12)
    )
    return [
        ring(200, 82, 17, t.shade, 9),
        rect(188, 92, 24, 20, t.shade, round_by=4),
        circle(200, 206, 106, t.shade),
        circle(197, 203, 100, t.main),
        circle(200, 206, 84, t.light),
        ticks,
        diamond(200, 206, 16, 66, mix(t.light, t.dark, 0.2)),
        diamond(200, 206, 66, 16, mix(t.light, t.dark, 0.2)),
        turned(
            28,
            200,
            206,
            path("M186 206L200 138L214 206z", "#c23b32"),
            path("M186 206L200 274L214 206z", t.dark),
        ),
        circle(200, 206, 9, t.accent),
    ]


def bell(t: Tones) -> list[str]:
    return [
        path("M86 92Q200 138 314 92L314 120Q200 168 86 120z", t.accent),
        *(
            diamond(120 + 40 * n, 118 + (14 if n in {1, 3} else 20 if n == 2 else 2), 9, 8, t.light)
            for n in range(5)
        ),
        rect(188, 138, 24, 26, t.dark, round_by=5),
        circle(200, 302, 15, t.dark),
        path(
            "M200 154Q254 156 258 222Q262 266 284 288L116 288Q138 266 142 222Q146 156 200 154z",
            t.main,
        ),
        path("M214 155Q254 160 258 222Q262 266 284 288L232 288Q246 220 214 155z", t.shade),
        line("M166 190Q158 216 160 246", t.glow, 9),
        rect(110, 280, 180, 16, t.glow, round_by=8),
        path("M146 228Q200 242 256 228L258 240Q200 254 144 240z", t.accent),
    ]


def spyglass(t: Tones) -> list[str]:
    body = (
        rect(64, 176, 112, 68, t.dark, round_by=6)
        + rect(56, 168, 24, 84, t.main, round_by=6)
        + rect(168, 172, 16, 76, t.main, round_by=4)
        + rect(184, 184, 68, 52, t.main)
        + rect(184, 212, 68, 24, t.shade)
        + rect(250, 180, 12, 60, t.glow, round_by=4)
        + rect(262, 192, 56, 36, t.main)
        + rect(262, 212, 56, 16, t.shade)
        + rect(316, 186, 18, 48, t.glow, round_by=5)
        + line("M92 192L160 192", mix(t.dark, t.light, 0.25), 5)
    )
    return [
        turned(-24, 200, 210, body),
        line("M200 226L140 314M200 226L260 314M200 226L204 314", t.dark, 8),
        circle(200, 222, 13, t.accent),
    ]


def sundial(t: Tones) -> list[str]:
    hours = "".join(
        turned(a, 200, 206, line("M200 256L200 238", t.dark, 4)) for a in range(-120, 121, 30)
    )
    return [
        path("M160 236L240 236L252 312L148 312z", mix(t.light, t.dark, 0.3)),
        path("M208 236L240 236L252 312L214 312z", mix(t.light, t.dark, 0.45)),
        ellipse(200, 232, 118, 30, t.shade),
        flattened(132, 0.42, circle(200, 206, 116, t.main), circle(200, 206, 92, t.glow), hours),
        path("M196 220L196 116L276 220z", t.accent),
        path("M196 220L196 116L204 118L204 220z", mix(t.accent, t.dark, 0.35)),
        path("M200 222L112 236L196 228z", mix(t.shade, t.dark, 0.4)),
    ]
